"""Pairs of library models: Keras on one side, torch on the other, written by nobody here."""
