"""Which steps a tensor was computed from."""

from __future__ import annotations

import numpy as np

from parity.capture.recorder import Recorder, TensorOrigins
from parity.capture.steps import Step


def test_a_tensor_originates_from_its_nearest_steps():
    class Tensor:
        pass

    origins, x, y, z = TensorOrigins(), Tensor(), Tensor(), Tensor()
    origins.set(x, ("a",))
    origins.set(y, ("b",))
    origins.propagate([x, y], [z])
    assert origins.of(z) == ("a", "b") and origins.joins([x, z]) and not origins.joins([x, Tensor()])
    number = id(x)
    del x
    fresh = [Tensor() for _ in range(100)]
    assert all(origins.of(tensor) == () for tensor in fresh), number


def test_a_slice_of_all_there_is_belongs_to_no_layer_before_it():
    """It would hide what the layer computed: an isolated run slices the reference's value that replaced it."""

    def run(size, replace):
        recorder = Recorder(lambda x: x, lambda value, like: value, 1, replace)
        x = np.zeros((1, 1, 6))
        recorder.begin([x])
        y = recorder.record(Step("conv", "conv", {}), [x], np.ones((1, 1, 5)))
        recorder.record(Step("getitem", "crop", {}), [y], y[..., :size])
        return recorder.trace

    sliced, cropped = (run(size, {"conv": np.full((1, 1, 5), 7.0)}) for size in (5, 4))
    assert sliced.outputs["conv"].max() == 1 and [step.kind for step in sliced.steps] == ["conv", "identity"]
    assert cropped.outputs["conv"].shape == (1, 1, 4) and [step.kind for step in cropped.steps] == ["conv", "crop"]
