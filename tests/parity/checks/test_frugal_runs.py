"""Large pairs are compared while they run: the same verdicts, fewer values held, and the choice is stated."""

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
from parity.capture import dry_run
from parity.capture.keras_adapter import KerasAdapter
from parity.capture.torch_adapter import TorchAdapter
from parity.transfer import aligned_models
from tests.cases.faults import FAULTS
from tests.cases.layers import Case, Does, chain
from tests.cases.models import MODELS


def rounded() -> Case:
    """With a constant that the port alone holds in float32."""
    reference = chain((6,), L.Dense(5), L.ReLU(negative_slope=0.2), L.Rescaling(0.1), L.Dense(4))
    return Case(reference, Does(lambda self, x: self.b(F.leaky_relu(self.a(x), 0.2) * float(np.float32(0.1))),
                                a=nn.Linear(6, 5), b=nn.Linear(5, 4)))  # fmt: skip


def channels_first() -> Case:
    first = {"data_format": "channels_first"}
    reference = chain((2, 5, 6), L.Conv2D(3, 3, padding="same", activation="relu", **first),
                      L.DepthwiseConv2D(2, **first), L.Flatten(**first), L.Dense(4))  # fmt: skip
    return Case(reference, nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 2, groups=3),
                                         nn.Flatten(), nn.Linear(60, 4)))  # fmt: skip


CASES = {
    "constants": rounded,
    "channels first": channels_first,
    "stages": MODELS["subclassed_stages"],
    "crops": MODELS["transposed_convolution_cropped_by_slices"],
    "unet": MODELS["unet_with_skip"],
    "outputs": MODELS["two_outputs"],
    **{name: FAULTS[name].case for name in list(FAULTS)[::8]},
}
COMPARED = ("judgement", "layer", "message", "kind", "fix", "what", "rung", "referee", "passed", "note", "padding")


def verdict(case: Case) -> parity.Verdict:
    return parity.verify(case.reference, case.port, case.inputs)


def compared_part(part):
    """What a verdict says, without the figures: those of float32 may differ in their last digits."""
    if isinstance(part, dict):
        kept = {
            key: compared_part(value)
            for key, value in part.items()
            if key in COMPARED or isinstance(value, (dict, list))
        }
        return {key: value for key, value in kept.items() if key not in ("versions", "worst", "evidence")}
    return [compared_part(one) for one in part] if isinstance(part, list) else part


@pytest.mark.parametrize("name", CASES)
def test_comparing_while_the_port_runs_gives_the_same_verdict(name, monkeypatch):
    found = []
    for values, weights in ((2**23, 2**24), (0, 0)):
        monkeypatch.setattr(aligned_models, "MANY_VALUES", values)
        monkeypatch.setattr(dry_run, "HEAVY_WEIGHTS", weights)
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        torch.manual_seed(0)
        found.append(compared_part(json.loads(verdict(CASES[name]()).to_json())))
    assert found[0] == found[1]


class Causal(nn.Conv1d):
    """A convolution that crops what it computed."""

    def forward(self, x):
        return super().forward(x)[..., :-2]


CROPPED = {
    "in forward": lambda: Does(lambda self, x: self.fc(self.conv(x)[..., :-2].flatten(1)),
                               conv=nn.Conv1d(2, 3, 3, padding=2), fc=nn.Linear(18, 4)),
    "by a layer derived from it": lambda: nn.Sequential(Causal(2, 3, 3, padding=2), nn.Flatten(), nn.Linear(18, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", CROPPED)
def test_a_convolution_cropped_behind_is_laid_out_like_any_other(name):
    """Its output before the crop is not what is replaced while layouts are searched."""
    reference = chain((6, 2), L.Conv1D(3, 3, padding="causal"), L.Flatten(), L.Dense(4))
    parity.verify(reference, CROPPED[name]()).raise_if_failed()


def test_a_convolution_of_the_reference_that_is_cropped_is_laid_out_like_any_other():
    given = keras.Input((6, 2))
    x = L.Conv1D(3, 3, padding="same")(given)[:, :-1]
    reference = keras.Model(given, L.Dense(4)(L.Flatten()(x)))
    port = Does(lambda self, x: self.fc(self.conv(x)[..., :-1].flatten(1)),
                conv=nn.Conv1d(2, 3, 3, padding=1), fc=nn.Linear(15, 4))  # fmt: skip
    parity.verify(reference, port).raise_if_failed()


def small() -> tuple[keras.Model, nn.Module]:
    return (
        chain((6, 6, 2), L.Conv2D(3, 3), L.Flatten(), L.Dense(4)),
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(48, 4)),
    )


def test_a_network_of_very_many_values_is_measured_on_one_sample_and_says_so(monkeypatch):
    monkeypatch.setattr(dry_run, "ONE_SAMPLE_VALUES", 100)
    message = parity.verify(*small(), rungs="forward").rungs["forward"].message
    assert "evaluation, batch of 1 (" in message
    assert "one sample: the network computes" in message
    monkeypatch.undo()
    assert "one sample" not in parity.verify(*small(), rungs="forward").rungs["forward"].message


def test_a_passing_large_pair_runs_each_network_no_more_than_needed(monkeypatch):
    monkeypatch.setattr(dry_run, "ONE_SAMPLE_VALUES", 100)
    monkeypatch.setattr(aligned_models, "MANY_VALUES", 0)
    runs = {KerasAdapter: 0, TorchAdapter: 0}
    for adapter in runs:
        stock = adapter.run

        def counted(self, *args, stock=stock, adapter=adapter, **settings):
            runs[adapter] += not settings.get("skip")
            return stock(self, *args, **settings)

        monkeypatch.setattr(adapter, "run", counted)
    assert parity.verify(*small(), rungs="structure,weights,shapes,padding,forward").passed
    assert runs[KerasAdapter] == 4, "once to draw inputs, once in each precision, once in training mode"
    assert runs[TorchAdapter] == 4, "chained, isolated, in training mode, and in float32"


def test_layers_whose_output_is_replaced_are_not_computed():
    reference, port = small()
    x = torch.randn(1, 2, 6, 6).numpy()
    side = TorchAdapter(port)
    with side.precision("float64"):
        plain = side.run([x])
        replaced = {"0": plain.outputs["0"] + 1, "2": plain.outputs["2"] + 1}
        skipped = side.run([x], replace=replaced, skip=True)
    assert "0" not in skipped.outputs, "nothing was computed"
    assert (skipped.inputs["2"] == replaced["0"].reshape(1, -1)).all()
    assert (skipped.result[0] == replaced["2"]).all()
    other = KerasAdapter(reference)
    with other.precision("float64"):
        x = x.transpose(0, 2, 3, 1)
        plain = other.run([x])
        replaced = {name: value + 1 for name, value in plain.outputs.items()}
        skipped = other.run([x], replace=replaced, skip=True)
    assert next(iter(replaced)) not in skipped.outputs
    assert (skipped.result[0] == list(replaced.values())[-1]).all()
