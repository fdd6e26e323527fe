"""The rungs of the ladder, one family a file. Each takes a :class:`parity.rungs.bench.Bench` and judges it."""
