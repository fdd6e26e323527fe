"""Comparing arrays, derived tolerances, axes of arrays and weights, and operations by definition. Plain NumPy."""
