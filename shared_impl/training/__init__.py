"""A training run without its framework: session, run folder, logs, checkpoints, monitor, schedules, workers."""
