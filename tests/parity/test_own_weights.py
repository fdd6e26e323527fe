"""``copy_weights=False``: the port is judged with what its own conversion put into it, and wrong copies are named."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from keras import layers as L
from torch import nn

import parity
from parity.verdict import Finding, Verdict
from tests.cases.layers import LAYERS, Case, Does, chain
from tests.cases.models import MODELS
from tests.cases.wrong_copies import WRONG_COPIES, Port, change, exchange, held, put, randomised, reference

VALUES = ("weights", "forward")


def own(model: keras.Model, port: nn.Module, **options) -> Verdict:
    """The verdict on the port's own weights."""
    return parity.verify(model, port, copy_weights=False, **options)


def wrong_ones(verdict: Verdict) -> list[Finding]:
    return [finding for finding in verdict.findings if not finding.message.startswith("known difference")]


@pytest.mark.parametrize("name", WRONG_COPIES)
def test_a_wrong_copy_is_named_at_its_layer_and_nothing_else_is(name: str) -> None:
    case = WRONG_COPIES[name]
    model, port = reference(case.fresh), Port()
    parity.copy_to_torch(model, port)
    case.apply(model, port)
    verdict = own(model, port, rungs=VALUES)
    (found,) = wrong_ones(verdict)
    assert (found.kind, found.reference_layer) == ("wrong-weights", case.layer), found
    assert [word for word in case.words if word not in found.message] == [], found.message
    assert not verdict.passed and verdict.first_divergence is not None
    assert verdict.first_divergence.reference_layer == case.layer


@pytest.mark.parametrize("fresh", [False, True])
def test_a_right_copy_passes_every_rung_and_neither_model_is_changed(fresh: bool) -> None:
    model, port = reference(fresh), Port()
    parity.copy_to_torch(model, port)
    before = [np.array(v) for v in model.get_weights()], {k: v.clone() for k, v in port.state_dict().items()}
    verdict = own(model, port)
    verdict.raise_if_failed()
    assert not any(rung.judgement == "fail" for rung in verdict.rungs.values())
    assert all(np.array_equal(a, b) for a, b in zip(before[0], model.get_weights(), strict=True))
    assert all(torch.equal(before[1][k], v) for k, v in port.state_dict().items())


@pytest.mark.parametrize("name", [*LAYERS, *MODELS])
def test_right_copies_of_the_cases_pass(name: str) -> None:
    case: Case = {**LAYERS, **MODELS}[name]()
    try:
        parity.copy_to_torch(case.reference, case.port, inputs=case.inputs)
    except parity.WeightMismatch:
        pytest.skip("weights that no rule carries across")
    verdict = own(case.reference, case.port, inputs=case.inputs, rungs=VALUES)
    assert verdict.rungs["weights"].judgement == "pass", verdict.to_text()
    assert verdict.rungs["forward"].judgement != "fail", verdict.to_text()


@pytest.mark.parametrize("change_all", [lambda w: (w * 3.0) / 3.0, lambda w: w.double()])
def test_a_conversion_that_rounds_is_right_and_its_rounding_shows_nowhere_else(change_all) -> None:
    model, port = reference(), Port()
    parity.copy_to_torch(model, port)
    if change_all(torch.ones(1)).dtype == torch.float64:
        port.double()
    for parameter in port.parameters():
        change(parameter, change_all)
    own(model, port, rungs=VALUES).raise_if_failed()


def test_every_headline_says_whose_weights_were_judged() -> None:
    model, port = chain((4,), L.Dense(3, name="d")), nn.Linear(4, 3)
    copied, kept = parity.verify(model, port), own(model, port)
    assert copied.passed and not kept.passed
    assert "faithful (with the reference's weights copied; " in copied.headline
    assert kept.headline.endswith("NOT faithful: wrong-weights at linear (weights fails; own weights)")
    assert [json.loads(verdict.to_json())["weights"] for verdict in (copied, kept)] == ["copied", "own"]
    parity.copy_to_torch(model, port)
    assert "faithful (own weights; " in own(model, port).headline


def test_the_weights_are_judged_whatever_rungs_are_asked() -> None:
    verdict = own(chain((4,), L.Dense(3)), nn.Linear(4, 3), rungs=["shapes"])
    assert list(verdict.rungs) == ["weights", "shapes"] and not verdict.passed


def test_a_wrong_layer_is_told_from_a_wrong_copy_of_its_weights() -> None:
    model = chain((8, 8, 3), L.Conv2D(4, 3, strides=2, padding="same", name="a"), L.Conv2D(4, 3, name="b"))
    port = Does(lambda self, x: self.b(self.a(x)), a=nn.Conv2d(3, 4, 3, stride=2, padding=1), b=nn.Conv2d(4, 4, 3))
    parity.copy_to_torch(randomised(model), port)
    change(port.a.weight, lambda w: w.flip(3))
    change(port.b.weight, lambda w: w.transpose(2, 3))
    found = {(one.kind, one.reference_layer) for one in own(model, port).findings}
    assert found == {("wrong-weights", "a"), ("wrong-weights", "b"), ("padding-alignment", "a")}


def test_rows_reordered_although_the_port_permutes() -> None:
    model = randomised(chain((4, 4, 3), L.Conv2D(6, 3, name="c"), L.Flatten(), L.Dense(5, name="d")))
    port = Does(
        lambda self, x: self.d(self.c(x).permute(0, 2, 3, 1).flatten(1)), c=nn.Conv2d(3, 6, 3), d=nn.Linear(24, 5)
    )
    parity.copy_to_torch(model, port)
    put(port.d.weight, held(model, "d", "kernel").reshape(2, 2, 6, 5).transpose(2, 0, 1, 3).reshape(24, 5).T)
    (found,) = own(model, port).findings
    assert "rows reordered to (c, h, w), though the port flattens (h, w, c)" in found.message
    assert found.fix == "copy it as kernel.T"


def test_columns_for_a_reshape() -> None:
    layers = L.Dense(32, name="d"), L.Reshape((4, 2, 4)), L.Conv2DTranspose(3, 2, strides=2)
    model = randomised(chain((5,), *layers))
    port = Does(
        lambda self, x: self.up(self.d(x).view(-1, 4, 4, 2)), d=nn.Linear(5, 32), up=nn.ConvTranspose2d(4, 3, 2, 2)
    )
    parity.copy_to_torch(model, port)
    own(model, port).raise_if_failed()
    fix = "kernel.reshape(5, 4, 2, 4).transpose(0, 3, 1, 2).reshape(5, 32).T"
    kernel = held(model, "d", "kernel")
    assert np.array_equal(eval(fix, {"kernel": kernel}), port.d.weight.detach().numpy())
    put(port.d.weight, kernel.T)
    put(port.d.bias, held(model, "d", "bias"))
    (found,) = own(model, port).findings
    assert "columns not reordered for the Reshape" in found.message and fix in found.fix


def test_embeddings_transposed_and_shifted() -> None:
    model = randomised(keras.Sequential([keras.Input((7,), dtype="int32"), L.Embedding(9, 9, name="e"), L.Dense(4)]))
    port = nn.Sequential(nn.Embedding(9, 9), nn.Linear(9, 4))
    for moved, word in (
        (lambda w: w.T, "tokens and features exchanged"),
        (lambda w: torch.cat([0 * w[:1], w[:-1]]), "rows shifted by +1"),
    ):
        parity.copy_to_torch(model, port)
        change(port[0].weight, moved)
        (found,) = own(model, port, rungs=VALUES).findings
        assert found.reference_layer == "e" and word in found.message


def test_a_scale_that_the_port_alone_has_must_be_one() -> None:
    norm = L.BatchNormalization(scale=False, name="b")
    model, port = randomised(chain((6, 6, 3), norm)), nn.BatchNorm2d(3, eps=1e-3, momentum=0.01)
    put(port.bias, held(model, "b", "beta"))
    put(port.running_mean, held(model, "b", "moving_mean"))
    put(port.running_var, held(model, "b", "moving_variance"))
    assert not [one for one in own(model, port, rungs=VALUES).findings if one.kind == "wrong-weights"]
    change(port.weight, lambda w: 2 * w)
    (found,) = (one for one in own(model, port, rungs=VALUES).findings if one.kind == "wrong-weights")
    assert "the reference has no gamma, and weight is not 1" in found.message


def twice() -> tuple[keras.Model, nn.Module]:
    """A layer that the reference calls twice, and a port with a layer for each call, the first of which is copied."""
    given, layer = keras.Input((6,)), L.Dense(6, name="a")
    model = randomised(keras.Model(given, layer(L.ReLU()(layer(given)))))
    port = Does(lambda self, x: self.q(F.relu(self.p(x))), p=nn.Linear(6, 6), q=nn.Linear(6, 6))
    put(port.p.weight, held(model, "a", "kernel").T)
    put(port.p.bias, held(model, "a", "bias"))
    return model, port


@pytest.mark.parametrize(("second", "layer"), [(False, "a#2"), (True, "a")])
def test_shared_weights_copied_to_one_layer_only(second: bool, layer: str) -> None:
    model, port = twice()
    if second:
        exchange(port.p.weight, port.q.weight)
        exchange(port.p.bias, port.q.bias)
    (found,) = own(model, port).findings
    assert (found.kind, found.reference_layer) == ("wrong-weights", layer)
    assert "copied there only" in found.message


def test_weights_shared_by_one_side_only_are_one_finding() -> None:
    model, port = twice()
    port.q.load_state_dict(port.p.state_dict())
    for verdict in (own(model, port), parity.verify(model, port)):
        assert [(one.kind, one.reference_layer) for one in verdict.findings] == [("shared-weights", "a#2")]
        assert verdict.rungs["forward"].judgement == "pass"
    both = nn.Linear(6, 6)
    pair = (
        randomised(chain((6,), L.Dense(6, name="a"), L.ReLU(), L.Dense(6, name="b"))),
        Does(lambda self, x: self.p(F.relu(self.p(x))), p=both),
    )
    for verdict in (own(*pair), parity.verify(*pair)):
        assert [(one.kind, one.reference_layer) for one in verdict.findings] == [("shared-weights", "b")]


def test_a_port_that_stops_is_not_told_its_weights() -> None:
    port = Does(lambda self, x: self.b(self.a(x).view(-1, 3)), a=nn.Linear(6, 4), b=nn.Linear(4, 2))
    verdict = own(chain((6,), L.Dense(4), L.Dense(2)), port)
    assert verdict.rungs["weights"].judgement == "abstain" and not verdict.passed


def test_the_default_tells_where_rows_were_reordered() -> None:
    model = chain((4, 4, 3), L.Conv2D(6, 3), L.Flatten(), L.Dense(5))
    port = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.Linear(24, 5))
    verdict = parity.verify(model, port, rungs=["weights"])
    assert verdict.passed
    assert "2: reads the image as (c, h, w); weights reordered to match" in verdict.rungs["weights"].message
