"""What a run leaves on disk: its folder, checkpoints, metrics, TensorBoard records, a line in the experiments log."""
