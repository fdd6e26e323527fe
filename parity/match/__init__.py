"""Matching: which step of the port corresponds to which step of the reference. Plain NumPy."""
