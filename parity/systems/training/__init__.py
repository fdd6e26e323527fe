"""The rungs of training: two trainers of one configuration in lockstep, their checkpoints and their data."""
