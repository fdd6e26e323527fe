"""Weights from one model to the other: axes, layouts found by probing, copying, mismatches. Plain NumPy."""
