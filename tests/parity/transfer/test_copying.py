"""Copying weights to the port and back, bit for bit, in any flattening order; all conflicts in one error."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras import layers as L
from torch import nn

import parity
from parity import UnusableInput, WeightMismatch, copy_to_keras, copy_to_torch
from tests.cases.layers import LAYERS, Does, chain
from tests.cases.models import MODELS

PAIRS = {**LAYERS, **MODELS}
# float32 of two frameworks: a few hundred roundings of 2^-24 relative to the largest output.
FLOAT32 = 1e-4


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)


def scrambled(model: keras.Model) -> list[np.ndarray]:
    """Give every weight of the model a random value (variances stay positive); returns the values."""
    rng = np.random.default_rng(0)
    model.set_weights([np.abs(rng.standard_normal(w.shape)).astype(w.dtype) for w in model.get_weights()])
    return model.get_weights()


def state(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: x.numpy().copy() for name, x in module.state_dict().items()}


def same(one, other) -> bool:
    pairs = zip(one.values(), other.values(), strict=True) if isinstance(one, dict) else zip(one, other, strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", PAIRS)
def test_weights_survive_the_round_trip_bit_for_bit(name):
    case = PAIRS[name]()
    sent = scrambled(case.reference)
    copy_to_torch(case.reference, case.port, inputs=case.inputs)
    held = state(case.port)
    case.reference.set_weights([w * 0 + 1 for w in sent])
    copy_to_keras(case.port, case.reference, inputs=case.inputs)
    assert same(sent, case.reference.get_weights())
    assert same(held, state(case.port))


@pytest.mark.parametrize("name", ["conv2d_same_strided_even", "dense_after_flatten", "dense_norm_view_conv"])
def test_after_copying_both_sides_compute_the_same(name):
    case = PAIRS[name]()
    scrambled(case.reference)
    copy_to_torch(case.reference, case.port)
    x = (
        np.random.default_rng(1)
        .standard_normal([n or 16 for n in case.reference.input_shape[1:]])
        .astype("float32")[None]
    )
    expected = np.asarray(case.reference(x))
    moved = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))
    got = case.port.eval()(moved).detach().numpy()
    got = np.moveaxis(got, 1, -1) if got.ndim > 2 else got
    assert np.abs(got - expected).max() <= FLOAT32 * np.abs(expected).max()


def mirrored_pair():
    """An encoder and a decoder whose symmetric padding is exact in a mirror, with dense layers beside the images."""
    same_padded = dict(strides=2, padding="same")
    reference = chain(
        (8, 12, 3),
        *(L.Conv2D(4, 5, **same_padded), L.ReLU(), L.Flatten(), L.Dense(5), L.Dense(4 * 6 * 2), L.Reshape((4, 6, 2))),
        L.Conv2DTranspose(3, 5, **same_padded),
    )
    port = nn.Sequential(
        *(nn.Conv2d(3, 4, 5, stride=2, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5), nn.Linear(5, 48)),
        *(nn.Unflatten(1, (2, 4, 6)), nn.ConvTranspose2d(2, 3, 5, stride=2, padding=2, output_padding=1)),
    )
    return reference, port


def test_a_mirrored_copy_is_exact_on_mirrored_images_and_reversible():
    reference, port = mirrored_pair()
    sent = scrambled(reference)
    copy_to_torch(reference, port, mirrored=True)
    x = np.random.default_rng(1).standard_normal((2, 8, 12, 3)).astype("float32")
    flipped = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x[:, ::-1, ::-1], -1, 1)))
    got = np.moveaxis(port(flipped).detach().numpy(), 1, -1)[:, ::-1, ::-1]
    expected = np.asarray(reference(x))
    assert np.abs(got - expected).max() <= FLOAT32 * np.abs(expected).max()
    reference.set_weights([w * 0 for w in sent])
    copy_to_keras(port, reference, mirrored=True)
    assert same(sent, reference.get_weights())
    assert not parity.verify(reference, port).passed
    assert parity.verify(reference, port, mirrored=True).passed


def several_conflicts():
    reference = chain((6, 5, 3), L.Conv2D(4, 3), L.BatchNormalization(), L.Flatten(), L.Dense(6), L.Dense(2))
    port = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False), nn.Flatten()),
        *(nn.Linear(48, 7), nn.PReLU(), nn.Linear(7, 2)),
    )
    port.unused = nn.Linear(2, 2)
    port.forward = lambda x: port[5](port[4](port[3](port[2](port[1](port[0](x))))))
    return reference, port


@pytest.mark.parametrize("way", [copy_to_torch, copy_to_keras])
def test_every_conflict_is_listed_in_one_error_and_nothing_is_written(way):
    reference, port = several_conflicts()
    scrambled(reference)
    before = reference.get_weights(), state(port)
    with pytest.raises(WeightMismatch, match="9 weights do not correspond; nothing was copied") as error:
        way(reference, port) if way is copy_to_torch else way(port, reference)
    text = str(error.value)
    for expected in (
        ".bias (4,) has no counterpart in 0",
        ".gamma (4,) has no counterpart in 1",
        ".beta (4,) has no counterpart in 1",
        ".kernel (48, 6) becomes (6, 48), but 3 holds (7, 48)",
        ".bias (6,) becomes (6,), but 3 holds (7,)",
        ".kernel (6, 2) becomes (2, 6), but 5 holds (2, 7)",
        "4.alpha (1,) finds no layer in the reference",
        "unused.weight: no output of the port reads it",
        "unused.bias: no output of the port reads it",
    ):
        assert expected in text
    assert same(before[0], reference.get_weights()) and same(before[1], state(port))


def test_a_port_that_stops_midway_still_has_its_conflicts_listed():
    reference = chain((5, 4, 3), L.Conv2D(2, 3), L.Flatten(), L.Dense(6), L.Dense(2))
    port = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(20, 6), nn.Linear(6, 3))
    with pytest.raises(WeightMismatch, match=r"3 weights do not.*\n.*but 2 holds \(6, 20\)\n.*but 3 holds \(3, 6\)"):
        copy_to_torch(reference, port)


def test_a_port_that_stops_for_another_reason_is_unusable():
    reference = chain((6,), L.Dense(4), L.Dense(2))
    port = Does(lambda self, x: self.b(self.a(x).view(-1, 3)), a=nn.Linear(6, 4), b=nn.Linear(4, 2))
    with pytest.raises(UnusableInput, match="the torch module stops.*shape .* is invalid"):
        copy_to_torch(reference, port)


def test_weights_shared_on_one_side_only_do_not_correspond():
    given = keras.Input((4,))
    shared = L.Dense(4, name="both")
    reference = keras.Model(given, shared(L.ReLU()(shared(given))))
    apart = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    with pytest.raises(WeightMismatch, match="both#2.kernel is shared in the reference, but its counterparts are two"):
        copy_to_torch(reference, apart)
    assert not parity.verify(reference, apart).passed
    again = nn.Linear(4, 4)
    assert parity.verify(reference, nn.Sequential(again, nn.ReLU(), again)).passed
    with pytest.raises(WeightMismatch, match="is shared in the port"):
        copy_to_torch(chain((4,), L.Dense(4), L.ReLU(), L.Dense(4)), nn.Sequential(again, nn.ReLU(), again))


def test_a_mapping_decides_between_equal_branches():
    given = keras.Input((4,))
    reference = keras.Model(given, L.Add()([L.Dense(3, name="one")(given), L.Dense(3, name="two")(given)]))
    port = Does(lambda self, x: self.p(x) + self.q(x), p=nn.Linear(4, 3), q=nn.Linear(4, 3))
    copy_to_torch(reference, port, mapping={"one": "q", "two": "p"})
    assert np.array_equal(port.q.weight.detach().numpy().T, reference.get_layer("one").kernel.numpy())
    with pytest.raises(UnusableInput, match="reference layer 'three'"):
        copy_to_torch(reference, port, mapping={"three": "q"})


@pytest.mark.parametrize("exchanged", [False, True])
def test_a_model_of_the_wrong_type_is_rejected_in_one_line(exchanged):
    reference, port = chain((4,), L.Dense(3)), nn.Linear(4, 3)
    arguments = (port, reference) if exchanged else (reference, "port.pt")
    with pytest.raises(UnusableInput, match="got a .* where a .* is expected"):
        copy_to_torch(*arguments)


def test_half_precision_weights_are_rejected():
    with pytest.raises(UnusableInput, match="torch.bfloat16 weights"):
        copy_to_torch(chain((4,), L.Dense(3)), nn.Linear(4, 3).bfloat16())


def test_models_keep_their_own_precision():
    port = nn.Linear(4, 3, dtype=torch.float64)
    reference = chain((4,), L.Dense(3))
    copy_to_torch(reference, port)
    assert port.weight.dtype == torch.float64 and reference.weights[0].dtype == "float32"
    assert np.array_equal(port.weight.detach().numpy().T.astype("float32"), reference.get_weights()[0])
