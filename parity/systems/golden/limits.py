"""How far a computed quantity may be from a recorded one: a row for each kind of quantity."""

from __future__ import annotations

# Largest difference over the record's largest value; for griffin-lim, the relative rms of the worst clip. The first
# eight are how closely independent float64 code agreed with the float32 records (README.md, "How closely a right
# implementation agrees"). Where a quantity depends on rounding more than those records do, its limit is ROUNDING_LIMIT
# (parity/numerics/difference.py) times the float32 rounding that Keras itself shows or, in training, that float32 runs
# show. Images are computed from the recorded spectrogram in its own precision, without any rounding. "float64" is how
# closely faithful twins agree in float64, in which the DCGAN record was taken, and "float64 training" the agreement
# that the training rungs demand of whole trajectories in float64.
LIMITS = {
    "forward": 7e-6,
    "moving-average": 2e-7,
    "loss": 1e-6,
    "wgan-gp loss": 1e-5,
    "final weight": 1e-5,
    "moments": 4e-6,
    "spectrogram": 3e-5,
    "griffin-lim": 7e-5,
    "image": 0.0,
    "float64": 1e-12,
    "float64 training": 1e-10,
}
# Rounding never widens a limit beyond this: the same chapter says that a wrong formula deviates by as much or more.
LARGEST_LIMIT = 1e-2
