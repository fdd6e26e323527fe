"""What a verdict says: what a port may be used for, whether that was asked, and the first cause in its headline."""

from __future__ import annotations

import pytest

from parity.verdict import Check, Coverage, Finding, LayerRow, RungResult, Verdict, first_cause, worst_judgement

ROW = LayerRow("conv", "a", "port.a")
COVERED = Coverage(2, 2)


def check(rung: str, judgement: str = "fail", layer: str = "a", **settings: object) -> Check:
    return Check(rung, layer, "what", judgement, **settings)


def finding(kind: str, layer: str = "a", rung: str = "forward", **settings: object) -> Finding:
    return Finding(kind, layer, layer, f"{layer}: {kind}", "mend it", rung, **settings)


def verdict(checks: list[Check], findings: list[Finding] | None = None, **settings: object) -> Verdict:
    rungs: dict[str, RungResult] = {}
    for one in checks:
        rungs.setdefault(one.rung, RungResult(one.rung, "pass", "message")).checks.append(one)
    for rung in rungs.values():
        rung.judgement = worst_judgement(rung.checks)
    return Verdict("pair", rungs, [ROW], findings or [], COVERED, **settings)


FINE = check("forward", "pass")
STATE = check("state", layer="bn")


@pytest.mark.parametrize(
    ("checks", "settings", "holds", "passed"),
    [
        ([FINE], {}, "training", True),
        ([FINE], {"scope": "inference"}, "inference", True),
        ([check("forward")], {}, "", False),
        ([check("forward")], {"scope": "inference"}, "", False),
        ([FINE, STATE], {}, "inference", False),
        ([FINE, check("gradients")], {}, "inference", False),
        ([FINE, check("penalty")], {}, "inference", False),
        ([FINE, check("forward", training=True)], {}, "inference", False),
        ([FINE, check("structure", training=True)], {}, "inference", False),
        ([check("structure", training=True), check("structure")], {}, "", False),
        ([FINE, check("state", "known-difference")], {}, "training", True),
        ([FINE], {"output_judged": False}, "", False),
        ([FINE, STATE], {"output_judged": False}, "", False),
        ([check("forward", "abstain")], {}, "training", True),
    ],
)
def test_what_a_port_may_be_used_for(checks: list[Check], settings: dict, holds: str, passed: bool) -> None:
    found = verdict(checks, **settings)
    assert (found.faithful_for, found.passed) == (holds, passed)


@pytest.mark.parametrize(
    ("checks", "findings", "settings", "words"),
    [
        ([FINE], [], {}, ["faithful (forward; 2 of 2 layers judged)"]),
        ([FINE], [], {"weights": "own"}, ["own weights"]),
        ([FINE], [], {"weights": "copied"}, ["with the reference's weights copied"]),
        ([FINE], [], {"scope": "inference"}, ["faithful for inference"]),
        ([FINE], [], {"not_asked": ["state"]}, ["faithful; not asked: state"]),
        ([check("shapes", "pass")], [], {"not_asked": ["forward"]}, ["no difference found", "is open"]),
        ([FINE], [], {"output_judged": False}, ["not shown faithful"]),
        ([FINE, STATE], [finding("batchnorm-momentum", "bn", "structure")], {},
         ["faithful for inference, NOT for training: batchnorm-momentum at bn"]),
        ([check("forward")], [finding("stride")], {"weights": "own"}, ["NOT faithful: stride at a", "own weights"]),
        ([check("forward")], [finding("stride", layers=["a", "b", "c"])], {}, ["stride at 3 layers"]),
        ([check("forward")], [finding("numeric", named=False)], {}, ["numeric (cause unknown) at a"]),
        ([check("shapes")], [], {"first_divergence": ROW}, ["NOT faithful: shapes fails at port.a"]),
    ],
)  # fmt: skip
def test_the_headline(checks: list[Check], findings: list[Finding], settings: dict, words: list[str]) -> None:
    headline = verdict(checks, findings, **settings).headline
    assert all(word in headline for word in words), headline


def test_the_first_cause_is_one_that_inference_sees_and_that_has_a_name() -> None:
    momentum, stride = finding("batchnorm-momentum", "bn", "structure"), finding("stride", "a")
    unknown = finding("numeric", "z", named=False)
    failing = [check("forward"), STATE, check("forward", layer="z")]
    assert first_cause([unknown, momentum, stride], failing, training=False) is stride
    assert first_cause([unknown, momentum], failing, training=True) is momentum
    assert first_cause([momentum, unknown], failing, training=False) is unknown
    assert first_cause([], failing, training=False) is None
