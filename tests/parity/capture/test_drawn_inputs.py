"""Drawn inputs: unequal sides, adversarial samples, perturbed constants."""

from __future__ import annotations

import numpy as np

from parity.capture.drawn_inputs import adversarial, draw, full_shape, perturb_constant

RNG = np.random.default_rng(0)


def test_drawn_inputs_have_unequal_sides_and_constants_are_perturbed():
    assert full_shape((None, None, None, 3), 2, 0) == (2, 37, 29, 3)
    image, words = draw([(None, None, None, 3), (None, 7)], [None, 11], 2, 0, 0)
    assert image.shape == (2, 37, 29, 3) and words.max() < 11 and words.dtype.kind == "i"
    batch = adversarial([image, words])
    assert [len(x) for x in batch] == [4, 4]
    assert np.count_nonzero(batch[0][2]) == 3 and np.unique(batch[0][3]).size == batch[0][3].size
    bias = perturb_constant("bias", np.zeros(5), RNG)
    assert np.ptp(bias) > 0 and perturb_constant("bias", bias, RNG) is bias
    assert (perturb_constant("moving_variance", np.ones(5), RNG) > 1).all()
