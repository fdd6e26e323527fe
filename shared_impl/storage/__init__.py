"""What a run leaves on disk: its folder, checkpoints, metrics, TensorBoard records and its line in the experiments log."""
