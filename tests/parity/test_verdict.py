"""What a verdict says of itself: its headline, its text, and how much was judged."""

from __future__ import annotations

import pytest

from parity.verdict import Check, Coverage, Finding, LayerRow, RungResult, Verdict, first_cause

FIX = "do so"


def rung(name: str, judgement: str = "pass", *checks: Check, message: str = "") -> RungResult:
    return RungResult(name, judgement, message, list(checks))  # type: ignore[arg-type]


def failing(name: str, layer: str, **settings: bool) -> Check:
    return Check(name, layer, "value", "fail", **settings)  # type: ignore[arg-type]


def verdict(*rungs: RungResult, findings: tuple[Finding, ...] = (), **settings: object) -> Verdict:
    rows = [LayerRow("dense", "d", "d", judgement="fail")]
    changes = {"coverage": Coverage(3, 3), "first_divergence": rows[0], "weights": "copied", **settings}
    return Verdict("pair", {one.name: one for one in rungs}, rows, list(findings), **changes)  # type: ignore[arg-type]


def finding(kind: str, layer: str, where: str, named: bool = True, layers: tuple[str, ...] = ()) -> Finding:
    return Finding(kind, layer, layer, f"{layer} differs", FIX, where, layers=[*layers], named=named)


def test_the_headline_names_the_cause_and_its_layer_not_the_victim() -> None:
    broken = verdict(
        rung("shapes", "fail", failing("shapes", "d")), rung("forward", "fail", failing("forward", "c")),
        findings=(finding("stride", "c", "forward"),),
    )  # fmt: skip
    assert broken.headline == "pair: NOT faithful: stride at c (forward fails; with the reference's weights copied)"
    without = verdict(rung("shapes", "fail", failing("shapes", "d")))
    assert without.headline == "pair: NOT faithful: shapes fails at d (with the reference's weights copied)"


def test_a_named_cause_that_inference_sees_comes_first() -> None:
    seen = [failing("forward", "c"), failing("structure", "bn", training=True)]
    momentum, unknown = finding("batchnorm-momentum", "bn", "structure"), finding("numeric", "c", "forward", False)
    extra, stride = finding("missing-layer", "drop", "structure"), finding("stride", "c", "forward")
    assert first_cause([momentum, extra, unknown, stride], seen, training=False) is stride
    assert first_cause([momentum, extra, unknown], seen, training=False) is unknown
    assert first_cause([momentum, unknown], seen, training=True) is momentum
    assert first_cause([], seen, training=False) is None


def test_a_cause_at_many_layers_is_told_with_their_number() -> None:
    many = finding("batchnorm-momentum", "a", "structure", layers=("a", "b", "c"))
    only = verdict(rung("structure", "fail", failing("structure", "a", training=True)), findings=(many,))
    assert "faithful for inference, NOT for training: batchnorm-momentum at 3 layers (" in only.headline


def test_an_unknown_cause_is_called_unknown() -> None:
    broken = verdict(
        rung("forward", "fail", failing("forward", "c")), findings=(finding("numeric", "c", "forward", False),)
    )
    assert "numeric (cause unknown) at c" in broken.headline


@pytest.mark.parametrize(
    ("coverage", "text"),
    [
        (Coverage(3, 3), "3 of 3 layers judged"),
        (Coverage(1, 3, {"a": "unknown", "b": "unknown"}), "1 of 3 layers judged; not judged: a, b (unknown)"),
        (Coverage(2, 10, {str(n): "x" for n in range(8)}), "not judged: 0, 1, 2, 3, 4, 5 and 2 more (x)"),
        (Coverage(0, 0), "no layers to judge one by one"),
    ],
)
def test_coverage_has_one_count_and_one_reason_a_group(coverage: Coverage, text: str) -> None:
    assert text in str(coverage)


def test_without_layers_it_is_said_what_was_judged() -> None:
    rungs = rung("forward")
    assert "the network's output judged as a whole" in verdict(rungs, coverage=Coverage(0, 0)).headline
    unasked = verdict(rung("shapes"), coverage=Coverage(0, 0), not_asked=["forward"])
    assert "faithful is open" in unasked.headline and "as a whole" not in unasked.headline


def test_what_was_not_asked_is_said() -> None:
    assert "pair: faithful; not asked: state (" in verdict(rung("forward"), not_asked=["state"]).headline
    open_question = verdict(rung("shapes"), not_asked=["padding", "forward"]).headline
    assert open_question.startswith("pair: no difference found; not asked: padding, forward, so whether it is faithful")


def test_one_message_of_several_rungs_is_one_line_and_notes_are_told() -> None:
    stopped = "the port does not run to its end"
    text = verdict(
        *(rung(name, "abstain", message=stopped) for name in ("gradients", "penalty")), rung("state"),
        notes=["d: reads the image as (c, h, w)"],
    ).to_text()  # fmt: skip
    assert f"  gradients, penalty: abstain: {stopped}\n" in text
    assert text.endswith("  note: d: reads the image as (c, h, w)")
