"""Comparing arrays, derived tolerances, and NumPy definitions of what layers compute. Plain NumPy."""
