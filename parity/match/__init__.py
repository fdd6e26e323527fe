"""Which step of the port stands for which step of the reference. Plain NumPy."""
