"""Seeing inside a running network: which layers ran, in which order, on what, and with what result."""
