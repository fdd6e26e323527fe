"""One finding a cause: findings of one cause are joined, those without a cause beside a known one are dropped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parity.diagnosis.causes import diagnose
from parity.verdict import Check, Finding, LayerRow


def finding(kind: str, layer: str, rung: str = "forward", fix: str = "mend", **settings: object) -> Finding:
    return Finding(kind, layer, layer, f"{layer}: {kind}", fix, rung, **settings)


UNKNOWN = {"named": False}


@pytest.mark.parametrize(
    ("findings", "kept"),
    [
        ([finding("stride", "a"), finding("stride", "a", fix="another")], ["stride@a"]),
        ([finding("stride", "a"), finding("numeric", "a", **UNKNOWN)], ["stride@a"]),
        ([finding("stride", "a"), finding("numeric", "b", **UNKNOWN)], ["stride@a", "numeric@b"]),
        ([finding("stride", "a"), finding("numeric", "b", "gradients", **UNKNOWN)], ["stride@a"]),
        ([finding("stride", "a"), finding("numeric", "b", "shapes", **UNKNOWN)], ["stride@a"]),
        ([finding("numeric", "b", "gradients", **UNKNOWN)], ["numeric@b"]),
        ([finding("batchnorm-momentum", "a", "state"), finding("numeric", "b", "shapes", **UNKNOWN)],
         ["batchnorm-momentum@a", "numeric@b"]),
        ([finding("missing-layer", "a", "structure"), finding("scale-factor", "a")], ["missing-layer@a"]),
        ([finding("missing-layer", "a", "structure"), finding("scale-factor", "b")],
         ["missing-layer@a", "scale-factor@b"]),
        ([finding("stride", "a"), finding("padding-alignment", "b")], ["stride@a", "padding-alignment@b"]),
    ],
)  # fmt: skip
def test_findings_that_follow_from_a_known_cause_are_dropped(findings: list[Finding], kept: list[str]) -> None:
    assert [f"{one.kind}@{one.layer}" for one in diagnose(findings, [], []).findings] == kept


def test_one_cause_at_many_layers_is_one_finding_that_lists_them() -> None:
    setting = {"attribute": "momentum", "got": 0.9, "expected": 0.99}
    layers = [f"bn{number}" for number in range(9)]
    one, other = (
        [replace(finding("batchnorm-momentum", layer, "structure"), evidence=evidence, message=f"{layer}: is 0.9")
         for layer in layers]
        for evidence in (setting, {})
    )  # fmt: skip
    (found,) = diagnose(one, [], []).findings
    assert found.layers == layers
    assert found.message == "is 0.9 at 9 layers: bn0, bn1, bn2, bn3, bn4, bn5 and 3 more"
    (found,) = diagnose(other, [], []).findings
    assert found.message == "bn0: is 0.9; likewise at 8 more: bn1, bn2, bn3, bn4, bn5, bn6 and 2 more"


def test_other_fixes_and_unknown_causes_stay_apart() -> None:
    apart = [finding("stride", "a", fix="stride 2"), finding("stride", "b", fix="stride 1")]
    unknown = [finding("numeric", "c", **UNKNOWN), finding("numeric", "d", **UNKNOWN)]
    assert [one.layers for one in diagnose([*apart, *unknown], [], []).findings] == [["a"], ["b"], ["c"], ["d"]]
    exchanged = [finding("layer-order", "a", fix="a, b"), finding("layer-order", "b", fix="b, a")]
    assert [one.layers for one in diagnose(exchanged, [], []).findings] == [["a", "b"]]


def test_the_first_divergence_is_a_culprit_and_no_victim() -> None:
    rows = [
        LayerRow("conv", "a", "a"), LayerRow("conv", "b", "b", judgement="fail", inherits=True),
        LayerRow("conv", "c", "c", judgement="fail"), LayerRow("conv", "d", "d", judgement="fail"),
    ]  # fmt: skip
    chained = [Check("forward", name, "chained", "fail", chained=True) for name in "bcd"]
    alone = [Check("forward", name, "isolated", "fail") for name in "cd"]
    assert diagnose([], [*chained, *alone], rows).first_divergence.layer == "c"
    assert diagnose([finding("stride", "d")], [*chained, *alone], rows).first_divergence.layer == "d"
    assert diagnose([], chained, rows).first_divergence.layer == "b"
    assert diagnose([], [], rows[:1]).first_divergence is None
