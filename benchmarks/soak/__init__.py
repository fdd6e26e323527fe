"""The soak: runs are killed, starved and cut off at random moments, resumed, and held against uninterrupted ones."""
