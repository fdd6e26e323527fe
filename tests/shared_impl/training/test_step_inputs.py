"""Inputs of a training step: what is drawn for which configuration, of which shape, and how batches are portioned."""

from __future__ import annotations

import numpy as np
import pytest

from shared_impl.config.presets import load
from shared_impl.draws import Draws
from shared_impl.training.step_inputs import PASSES, StepInputs, augmentation, draw, stage_weights

SMALL = ["training.batch_size=4"]


def test_what_is_not_configured_is_zeros_or_empty():
    inputs = draw(load("dcgan_tiny", SMALL), Draws(0), 3, 1)
    assert inputs.z.shape == (4, 100) and inputs.alpha.shape == (4,)
    assert inputs.noise.shape == inputs.images.shape == (4, 1, 1, 1) and not inputs.noise.any()
    assert inputs.dropout.shape == (4, len(PASSES), 0) and inputs.grown.shape == (4, 0)
    assert augmentation(load("dcgan_tiny", SMALL), Draws(0), 3, 1).shape == (4, 0)


def test_each_update_of_each_step_draws_its_own_numbers():
    config = load("upsample_dcgan_tiny", [*SMALL, "training.instance_noise=0.5"])
    first, again, update, step = (draw(config, Draws(0), *place) for place in ((0, 0), (0, 0), (0, 1), (1, 0)))
    for name in ("z", "alpha", "noise", "dropout"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert not np.any(getattr(first, name) == getattr(update, name))
        assert not np.any(getattr(first, name) == getattr(step, name))


def test_noise_of_a_growing_network_is_as_coarse_as_its_stage():
    growing = ["model.growing=[16]", "training.stage_steps=2", "training.stage_batches=[8]"]
    config = load("upsample_dcgan_tiny", [*SMALL, *growing, "training.instance_noise=0.5"])
    coarse, fine = (draw(config, Draws(0), step, 0) for step in (0, 2))
    assert coarse.noise.shape == (8, 64, 64, config.model.nc) and fine.noise.shape == (4, 64, 64, config.model.nc)
    blocks = coarse.noise.reshape(8, 16, 4, 16, 4, -1)
    assert np.array_equal(blocks, np.broadcast_to(blocks[:, :, :1, :, :1], blocks.shape))
    assert not np.array_equal(fine.noise[:, ::2], fine.noise[:, 1::2])
    assert stage_weights(config, 0).shape == (8, 0) and stage_weights(config, 2).shape == (4, 1)


@pytest.mark.parametrize("portions", [1, 2, 4])
def test_portions_take_turns_and_make_up_the_batch(portions):
    inputs = StepInputs(*(np.arange(8) + 10 * i for i in range(len(StepInputs._fields))))
    parts = [inputs.portion(i, portions) for i in range(portions)]
    for name in StepInputs._fields:
        rows = np.stack([getattr(part, name) for part in parts], 1).reshape(-1)
        assert np.array_equal(rows, getattr(inputs, name))


def test_a_batch_replaces_images_and_labels_alone():
    inputs = draw(load("dcgan_tiny", SMALL), Draws(0), 0, 0)
    images, labels = np.ones((4, 64, 64, 1)), np.arange(4)
    filled = inputs.with_batch(images, labels)
    assert filled.images is images and filled.labels is labels and filled.z is inputs.z
