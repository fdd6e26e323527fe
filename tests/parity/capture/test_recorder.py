"""Which steps a tensor was computed from."""

from __future__ import annotations

from parity.capture.recorder import TensorOrigins


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
