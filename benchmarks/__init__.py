"""How fast and how large: ``python -m benchmarks`` measures the commands, the training and their parts."""
