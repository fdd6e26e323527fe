"""The rungs of the ladder, one family a file; :mod:`parity.checks.registry` is their table."""
