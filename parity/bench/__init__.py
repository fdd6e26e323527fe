"""How fast and how large: ``python -m parity.bench`` measures the commands, the training and their parts."""
