"""This project's own five systems: their pairs, training rungs, golden records, claims, mutants and conversions."""
