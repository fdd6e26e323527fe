"""Capture: one run of one model as a list of steps, through adapters for Keras and torch."""
