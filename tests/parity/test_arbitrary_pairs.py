"""Pairs as users bring them: faithful ones pass and are judged completely, faulty ones fail where the fault is."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from keras import layers as L
from torch import nn

import parity
from parity import UnusableInput
from tests.cases.faults import FAULTS
from tests.cases.layers import LAYERS, Case, Does, chain
from tests.cases.models import MODELS, KerasBlock

PAIRS = {**LAYERS, **MODELS}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)


def verified(case: Case, **settings) -> parity.Verdict:
    return parity.verify(case.reference, case.port, case.inputs, **settings)


@pytest.mark.parametrize("name", PAIRS)
def test_a_faithful_port_passes_and_is_judged_completely(name):
    verdict = verified(PAIRS[name]())
    assert verdict.passed, verdict.to_text()
    assert verdict.coverage.judged == verdict.coverage.total, str(verdict.coverage)
    assert not any(row.judgement in ("fail", "abstain") for row in verdict.layers)


@pytest.mark.parametrize("name", [name for name in PAIRS if "batchnorm" in name or "stages" in name])
def test_stock_batchnorm_on_both_sides_is_a_known_difference(name):
    state = verified(PAIRS[name](), rungs=["state"]).rungs["state"]
    assert state.judgement == "known-difference"
    assert "n/(n-1)" in state.checks[-1].message


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_where_it_is(name):
    fault = FAULTS[name]
    verdict = verified(fault.case())
    assert not verdict.passed
    first = verdict.findings[0]
    assert first.kind == fault.kind, verdict.to_text()
    assert (first.layer or first.reference_layer).endswith(fault.layer), verdict.to_text()


# What cannot be matched


def lstm():
    reference = chain((7, 5), L.Dense(4), L.LSTM(3), L.Dense(2))
    port = Does(
        lambda self, x: self.head(self.rnn(self.proj(x))[0][:, -1]),
        proj=nn.Linear(5, 4),
        rnn=nn.LSTM(4, 3, batch_first=True),
        head=nn.Linear(3, 2),
    )
    return reference, port, {"lstm", "rnn"}


def attention():
    given = keras.Input((7, 4))
    reference = keras.Model(given, L.Dense(2)(L.MultiHeadAttention(2, 2, name="attend")(given, given)))
    port = Does(
        lambda self, x: self.head(self.attend(x, x, x)[0]),
        attend=nn.MultiheadAttention(4, 2, batch_first=True),
        head=nn.Linear(4, 2),
    )
    return reference, port, {"attend"}


class KerasMixing(L.Layer):
    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], shape[-1]), name="matrix")

    def call(self, x):
        return keras.ops.matmul(x, self.matrix) * 0.5


class TorchMixing(nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(4, 4))

    def forward(self, x):
        return x @ self.matrix * 0.5


def layer_of_their_own():
    reference = chain((5,), L.Dense(4), KerasMixing(name="mix"), L.Dense(2), L.ReLU(), L.Dense(3))
    port = nn.Sequential(nn.Linear(5, 4), TorchMixing(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3))
    return reference, port, {"mix", "1"}


def computed_weights():
    port = nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)), nn.Linear(4, 2))
    return chain((5,), L.Dense(4, name="plain"), L.Dense(2)), port, {"0", "plain"}


def layer_at_every_step():
    reference = chain((3, 6, 5, 2), L.TimeDistributed(L.Conv2D(4, 3), name="steps"), L.GlobalAveragePooling3D())
    port = Does(
        lambda self, x: torch.stack([self.conv(x[:, :, t]) for t in range(x.shape[2])], 2).mean((2, 3, 4)),
        conv=nn.Conv2d(2, 4, 3),
    )
    return reference, port, {"steps", "conv", "conv#2", "conv#3"}


@pytest.mark.parametrize("build", [lstm, attention, layer_of_their_own, computed_weights, layer_at_every_step])
def test_a_layer_that_cannot_be_matched_abstains_with_its_reason(build):
    reference, port, unmatched = build()
    verdict = parity.verify(reference, port)
    assert not verdict.passed
    reasons = {name.partition(" (")[0]: why for name, why in verdict.coverage.abstained.items()}
    assert unmatched <= set(reasons)
    assert all("no counterpart" in reasons[name] for name in unmatched)
    assert verdict.coverage.judged < verdict.coverage.total
    assert "fail" not in {rung.judgement for rung in verdict.rungs.values()}, verdict.to_text()
    assert "could not be judged" in verdict.headline
    fed = [check for check in verdict.rungs["forward"].checks if "fed by" in check.message]
    assert fed and all(check.judgement == "abstain" for check in fed)


def test_a_fault_shows_behind_a_layer_that_cannot_be_matched():
    reference, port, _ = layer_of_their_own()
    port[3] = nn.ELU()
    verdict = parity.verify(reference, port)
    assert not verdict.passed
    assert (verdict.findings[0].kind, verdict.findings[0].layer) == ("activation-kind", "3")


def test_a_branch_beside_a_layer_that_cannot_be_matched_is_judged():
    given = keras.Input((5,))
    joined = L.Concatenate()([KerasMixing()(L.Dense(4)(given)), L.Dense(3, activation="tanh")(given)])
    port = Does(
        lambda self, x: self.out(torch.cat([self.mix(self.a(x)), torch.tanh(self.b(x))], 1)),
        **{"a": nn.Linear(5, 4), "mix": TorchMixing(), "b": nn.Linear(5, 3), "out": nn.Linear(7, 2)},
    )
    verdict = parity.verify(keras.Model(given, L.Dense(2)(joined)), port)
    judged = {row.layer: row for row in verdict.layers}
    assert judged["tanh"].judgement == judged["b"].judgement == "pass"
    assert verdict.coverage.abstained.keys() >= {"mix", judged["cat"].reference_layer}
    assert judged["out"].isolated is not None and judged["out"].judgement != "fail"
    assert not verdict.passed


class KerasGated(L.Layer):
    """A layer of known layers with one scalar of its own, as self-attention has."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = L.Conv2D(4, 3, padding="same")
        self.gamma = self.add_weight(shape=(), name="gamma", initializer="ones")

    def call(self, x):
        return self.gamma * self.inner(x) + x


class TorchGated(nn.Module):
    def __init__(self, name="gamma"):
        super().__init__()
        self.body = nn.Conv2d(4, 4, 3, padding=1)
        self.name = name
        setattr(self, name, nn.Parameter(torch.zeros(())))

    def forward(self, x):
        return getattr(self, self.name) * self.body(x) + x


def test_a_scalar_of_the_same_name_crosses():
    reference = chain((6, 5, 4), KerasGated(), L.Conv2D(2, 1))
    assert parity.verify(reference, nn.Sequential(TorchGated(), nn.Conv2d(4, 2, 1))).passed
    assert parity.verify(reference, nn.Sequential(TorchGated("scale"), nn.Conv2d(4, 2, 1))).passed


def test_own_parameters_that_could_be_confused_abstain():
    reference = chain((6, 5, 4), KerasGated(), L.Conv2D(2, 1))
    gated = TorchGated("scale")
    gated.other = nn.Parameter(torch.ones(()))
    verdict = parity.verify(reference, nn.Sequential(gated, nn.Conv2d(4, 2, 1)))
    assert not verdict.passed and "0" in verdict.coverage.abstained


# Branches and mappings


def twin_branches(names=("left", "right"), swapped=False, exchanged=False):
    """Two branches of equal shapes; ``swapped`` in execution, ``exchanged`` where they join."""
    given = keras.Input((8, 6, 3))
    one = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, name="left")(given)))
    two = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, name="right")(given)))
    reference = keras.Model(given, L.Conv2D(2, 1, name="joined")(L.Concatenate()([one, two])))

    def call(self, x):
        done = {}
        for place in (1, 0) if swapped else (0, 1):
            done[place] = F.relu(self.norms[place](getattr(self, names[place])(x)))
        return self.out(torch.cat([done[1], done[0]] if exchanged else [done[0], done[1]], 1))

    norms = nn.ModuleList([nn.BatchNorm2d(4, eps=1e-3, momentum=0.01) for _ in range(2)])
    convs = {name: nn.Conv2d(3, 4, 3) for name in names}
    return reference, Does(call, norms=norms, out=nn.Conv2d(8, 2, 1), **convs)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("names", [("left", "right"), ("p", "q"), ("right", "left")])
def test_branches_of_equal_shapes_are_matched_by_what_they_feed(swapped, names):
    verdict = parity.verify(*twin_branches(names, swapped))
    if names == ("right", "left"):  # names that say the opposite of what is computed are believed
        assert not verdict.passed
    else:
        assert verdict.passed, verdict.to_text()
        partner = {row.reference_layer: row.layer for row in verdict.layers}
        assert (partner["left"], partner["right"]) == names


@pytest.mark.parametrize("swapped", [False, True])
def test_branches_joined_the_other_way_fail_where_they_join(swapped):
    verdict = parity.verify(*twin_branches(swapped=swapped, exchanged=True))
    assert not verdict.passed
    assert (verdict.findings[0].kind, verdict.findings[0].layer) == ("concat-order", "cat")


@pytest.mark.parametrize("swapped", [False, True])
def test_a_mapping_overrules(swapped):
    reference, port = twin_branches(("p", "q"), swapped)
    assert parity.verify(reference, port, mapping={"left": "p", "right": "q"}).passed
    assert parity.verify(reference, port, mapping={"left": "p"}).passed
    assert not parity.verify(reference, port, mapping={"left": "q", "right": "p"}).passed


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"lef": "left"}, "the mapping names what did not run: reference layer 'lef'; reference layers: .*left.*"),
        ({"left": "lost"}, "port layer 'lost'.*port layers: .*left.*"),
        ({"left": "out"}, None),
        ({"left": "norms.0"}, "pairs left .conv. with norms.0 .batchnorm., and no rule carries weights"),
        ({"left": "left", "right": "left"}, "more than one reference layer to left"),
    ],
)
def test_a_wrong_mapping_is_one_clear_line(mapping, message):
    reference, port = twin_branches()
    if message is None:
        assert not parity.verify(reference, port, mapping=mapping).passed
        return
    with pytest.raises(UnusableInput, match=message) as error:
        parity.verify(reference, port, mapping=mapping)
    assert "\n" not in str(error.value)


def test_three_summands_are_one_sum():
    given = keras.Input((6,))
    reference = keras.Model(given, L.Dense(2)(L.Add()([L.Dense(4)(given), L.Dense(4)(given), L.Dense(4)(given)])))
    parts = nn.ModuleList([nn.Linear(6, 4) for _ in range(3)])
    port = Does(lambda self, x: self.out(sum(part(x) for part in self.parts)), parts=parts, out=nn.Linear(4, 2))
    assert parity.verify(reference, port).passed
    left_out = Does(lambda self, x: self.out(self.parts[0](x) + self.parts[1](x)), parts=parts, out=nn.Linear(4, 2))
    assert not parity.verify(reference, left_out).passed


# A port that does not run, bad input


def test_a_port_that_stops_midway_is_not_faithful():
    reference = chain((5, 4, 3), L.Conv2D(2, 3), L.Flatten(), L.Dense(6), L.Dense(2))
    port = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(20, 6), nn.Linear(6, 2))
    verdict = parity.verify(reference, port)
    assert not verdict.passed
    assert verdict.rungs["shapes"].judgement == "fail"
    assert "the port stops in 2: RuntimeError: mat1 and mat2 shapes cannot be multiplied" in verdict.to_text()
    assert "becomes (6, 12), but 2 holds (6, 20)" in verdict.to_text()
    assert verdict.findings[0].layer == "2"
    assert verdict.first_divergence.layer == "2"


@pytest.mark.parametrize("size", [1, 4])
def test_a_port_made_for_one_batch_size_fails(size):
    reference = chain((6,), L.Dense(4), L.Dense(2))
    port = Does(
        lambda self, x: self.b(self.a(x) * (1 if len(x) != size else torch.ones(7))),
        a=nn.Linear(6, 4),
        b=nn.Linear(4, 2),
    )
    verdict = parity.verify(reference, port)
    assert not verdict.passed
    assert f"batch of {size}" in verdict.rungs["forward"].message


def test_a_port_that_computes_in_half_precision_inside_fails_in_float32():
    reference = chain((6,), L.Dense(4), L.Dense(2))
    port = Does(lambda self, x: self.b(self.a(x).half().to(x.dtype)), a=nn.Linear(6, 4), b=nn.Linear(4, 2))
    verdict = parity.verify(reference, port)
    assert not verdict.passed
    assert verdict.first_divergence.layer == "b"


def test_a_port_that_asks_for_float32_by_name_passes():
    port = Does(
        lambda self, x: self.b(self.a(x).float() * torch.full((4,), 0.5, dtype=torch.float32).to(x.dtype)),
        **{"a": nn.Linear(6, 4), "b": nn.Linear(4, 2)},
    )
    given = keras.Input((6,))
    assert parity.verify(keras.Model(given, L.Dense(2)(L.Dense(4)(given) * 0.5)), port).passed


def test_a_forward_exchanged_on_the_instance_is_followed():
    reference, port = chain((6,), L.Dense(4), L.Dense(2)), nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2))
    own = port.forward
    port.forward = lambda x: own(x) + 0.0
    assert parity.verify(reference, port).passed
    port.forward = lambda x: port[1](port[0](x)) * 1.001
    assert not parity.verify(reference, port).passed


def small():
    return chain((6,), L.Dense(4), L.BatchNormalization(), L.Dense(2)), nn.Sequential(
        nn.Linear(6, 4), nn.BatchNorm1d(4, eps=1e-3, momentum=0.01), nn.Linear(4, 2)
    )


def unbuilt():
    return keras.Sequential([L.Dense(4)]), nn.Linear(6, 4)


def subclassed_without_inputs():
    model = KerasBlock(4)
    model(np.zeros((1, 8, 6, 4)))
    model(np.zeros((1, 9, 7, 4)))
    del model._build_shapes_dict
    return model, nn.Conv2d(4, 4, 3)


def wrong_input_shape():
    return *small(), np.zeros((2, 7))


def no_sample():
    return *small(), np.zeros((0, 6))


def reference_with_nan():
    reference, port = small()
    reference.layers[0].kernel.assign(np.full((6, 4), np.nan))
    return reference, port


def port_with_infinity():
    reference, port = small()
    port[1].running_var[0] = float("inf")
    return reference, port


def exchanged():
    return small()[::-1]


def half_precision():
    reference, port = small()
    return reference, port.half()


def lazy():
    return chain((6,), L.Dense(4)), nn.Sequential(nn.LazyLinear(4))


def meta():
    return chain((6,), L.Dense(4)), nn.Linear(6, 4, device="meta")


def call(self, x):
    import tensorflow as tf

    return tf.multiply(x, tf.constant(0.5))


class Float32Only(L.Layer):
    def call(self, x):
        import tensorflow as tf

        return tf.multiply(x, tf.constant(0.5))


def test_a_reference_that_asks_for_float32_is_measured_in_float64():
    port = Does(lambda self, x: self.dense(x * 0.5), dense=nn.Linear(6, 4))
    verdict = parity.verify(chain((6,), Float32Only(), L.Dense(4)), port)
    assert verdict.passed, verdict.to_text()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (unbuilt, "is not built.*keras.Input"),
        (subclassed_without_inputs, "does not tell its input shape: pass inputs="),
        (wrong_input_shape, r"does not accept inputs of shape \[\(2, 7\)\]; it expects \[\(None, 6\)\]"),
        (no_sample, "at least one sample"),
        (reference_with_nan, "the reference's weights hold NaN or infinity: .*kernel"),
        (port_with_infinity, "the port's weights hold NaN or infinity: 1.running_var"),
        (exchanged, "expected a keras.Model; the reference comes first, the port second"),
        (half_precision, "torch.float16 weights .0.weight and 7 more."),
        (lazy, "lazy layers without weights yet .*run it once on a sample"),
        (meta, "meta device"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_input_is_one_clear_line(build, message):
    with pytest.raises(UnusableInput, match=message) as error:
        parity.verify(*build())
    assert "\n" not in str(error.value)
