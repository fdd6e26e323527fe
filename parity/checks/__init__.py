"""The rungs of the ladder, one family a file. Each takes a :class:`parity.checks.context.CheckContext` and judges it."""
