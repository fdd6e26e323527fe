"""Seeded draws, and what is made with them: initial weights, samples, pictures and their evaluation."""
