"""Float32 rounding widens a limit of a training record only where it must, and only where rounding shows."""

from __future__ import annotations

import numpy as np

from parity.numerics.tolerance import ROUNDING_LIMIT
from parity.systems.golden import specgan_training
from parity.systems.golden.limits import LARGEST_LIMIT, LIMITS
from parity.systems.golden.settings import SpecGANTrainingSetting


def limits_of(recorded: float, run: float, gaps, loss: str = "lsgan"):
    """The limits of two losses, of which only the second is not as recorded."""
    setting = SpecGANTrainingSetting(
        loss=loss, dim=1, batch=1, latent=1, seed=0, loops=1, disc_nupdates=1,
        generator_variables=[], discriminator_variables=[],
    )  # fmt: skip
    computed = {"Keras": {"D_loss": np.array([1.0, run])}}
    samples = ({"D_loss": np.array([0, gap])} for gap in gaps)
    return specgan_training._limits(setting, {"D_loss": np.array([1.0, recorded])}, computed, samples)[
        "D_loss"
    ].tolist()


def test_limits_widen_only_where_they_must_and_where_rounding_shows():
    usual = LIMITS["loss"]
    assert limits_of(0.5, 0.5, []) == [usual, usual]  # no float32 run is taken
    assert limits_of(0.5, 0.5 + 5e-6, [], "wgan-gp") == [LIMITS["wgan-gp loss"]] * 2
    assert limits_of(0.5, 0.5005, [0, 1e-4, 0.4]) == [usual, ROUNDING_LIMIT * 1e-4]  # after two runs that is enough
    assert limits_of(0.5, 0.5005, [0] * specgan_training.RUNS) == [usual, usual]
    assert limits_of(0.5, 0.509, [0.1]) == limits_of(0.5, 0.509, [np.inf]) == [usual, LARGEST_LIMIT]
    assert limits_of(0.5, 0.511, []) == [usual, usual]  # more than any rounding
