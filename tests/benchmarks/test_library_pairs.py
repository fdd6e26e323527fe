"""The table of library pairs: every way in which a verdict can stand to the truth has its label."""

from __future__ import annotations

import keras
import pytest
from torch import nn

from benchmarks.libraries import hand_copy, repairs, truth
from benchmarks.libraries.differences import epsilon, momentum
from benchmarks.libraries.judging import judge
from benchmarks.libraries.pair import LibraryPair, Variant, variants
from benchmarks.library_pairs import measured, tried
from parity.verdict import Check, Coverage, Finding, RungResult, Verdict


def reference() -> keras.Model:
    layers = [keras.layers.Conv2D(4, 3, padding="same"), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    return keras.Sequential([keras.Input((6, 6, 3)), *layers])


def port() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())


PAIR = LibraryPair("stem", reference, port, (epsilon(1e-3), momentum(0.01)))
AS_IT_IS, REPAIRED, *SINGLE = variants(PAIR, single=True)
EPSILON = Finding("batchnorm-epsilon", "1", "batch_normalization", "", "", "structure")
NUMERIC = Finding("numeric", "2", "re_lu", "", "", "forward")
MOMENTUM = Finding("batchnorm-momentum", "1", "batch_normalization", "", "", "state")


def verdict(*findings: Finding, judgement: str = "fail", judged: bool = True) -> Verdict:
    checks = [Check("forward", "1", "values", judgement)]
    return Verdict(
        "stem",
        {"forward": RungResult("forward", judgement, checks=checks)},
        [],
        list(findings),
        Coverage(3, 3),
        output_judged=judged,
    )


@pytest.mark.parametrize(
    ("variant", "said", "label"),
    [
        (REPAIRED, verdict(judgement="pass"), "right"),
        (REPAIRED, verdict(EPSILON), "false alarm"),
        (REPAIRED, verdict(judgement="pass", judged=False), "abstained"),
        (AS_IT_IS, verdict(EPSILON, MOMENTUM), "right"),
        (
            AS_IT_IS,
            verdict(EPSILON, MOMENTUM, NUMERIC),
            "right, with noise",
        ),
        (AS_IT_IS, verdict(EPSILON), "wrong cause"),
        (AS_IT_IS, verdict(EPSILON, Finding("batchnorm-momentum", "0", "conv2d", "", "", "state")), "wrong layer"),
        (AS_IT_IS, verdict(judgement="pass"), "missed"),
        (AS_IT_IS, verdict(judgement="pass", judged=False), "abstained"),
        (SINGLE[1], verdict(MOMENTUM), "wrong scope"),
    ],
)
def test_a_verdict_is_labelled(variant: Variant, said: Verdict, label: str):
    assert judge(variant, said).label == label


def test_the_truth_is_what_is_left_of_the_differences():
    assert [measured(variant).faithful() for variant in (AS_IT_IS, REPAIRED, *SINGLE)] == [
        "",
        "training",
        "",
        "inference",
    ]


def test_what_stops_parity_is_a_row():
    broken = LibraryPair("broken", reference, lambda: nn.Conv2d(5, 4, 3))
    assert tried(Variant(broken, (), "broken")).label in ("refused", "crash", "false alarm", "abstained")


def test_weights_without_a_place_are_an_error():
    with pytest.raises(hand_copy.CannotCopy, match="no further layer"):
        hand_copy.copy([hand_copy.Unit("conv", ("kernel", 4, 3, 3, 3))], [])


def test_same_padding_is_keras_padding():
    with truth.float64():
        layer = keras.layers.Conv2D(4, 3, strides=2, padding="same")
        model = keras.Sequential([keras.Input((8, 8, 3)), layer])
        module = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1))
        truth.randomise(model)
        hand_copy.copy(hand_copy.reference_units([layer]), hand_copy.port_units(module))
        before = truth.measure(model, module, {}).evaluation
        after = truth.measure(model, repairs.same_padding(module), {}).evaluation
    assert before > 0.1 and after < truth.ROUNDING
