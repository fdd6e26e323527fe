"""A difference of structure is withdrawn where the rungs that would show it pass, and only there."""

from __future__ import annotations

from parity.checks.climbing import Climbed
from parity.checks.withdrawal import withdraw_without_effect
from parity.verdict import Check, Finding, RungResult

SHOWN = ("forward", "gradients")


def climbed(forward: str, gradients: str | None, shown_by: tuple[str, ...] = SHOWN, more: bool = False) -> Climbed:
    checks = [Check("structure", "a", "setting", "fail", message="a: other", shown_by=shown_by)]
    checks += [Check("structure", "b", "setting", "fail", message="b: other")] if more else []
    results = {"structure": RungResult("structure", "fail", "a: other", checks)}
    for rung, judgement in (("forward", forward), ("gradients", gradients)):
        if judgement:
            results[rung] = RungResult(rung, judgement, "", [Check(rung, "a", "values", judgement)])
    findings = [Finding("stride", name, name, f"{name}: other", "", "structure") for name in "ab"]
    return Climbed(results, findings[: 1 + more])


def withdrawn(before: Climbed) -> bool:
    after = withdraw_without_effect(before)
    check = after.results["structure"].checks[0]
    gone = check.judgement == "pass"
    assert gone == ("arranged differently, computes the same" in check.message)
    assert gone == (after.findings[:1] != before.findings[:1])
    return gone


def test_values_and_gradients_decide() -> None:
    assert withdrawn(climbed("pass", "pass")) and withdrawn(climbed("pass", "known-difference"))
    assert withdrawn(climbed("pass", "abstain")), "where nothing can be differentiated"
    assert not withdrawn(climbed("fail", "pass")) and not withdrawn(climbed("pass", "fail"))
    assert not withdrawn(climbed("pass", None)), "gradients were not asked"
    assert not withdrawn(climbed("abstain", "pass")), "values that were not judged show nothing"
    assert not withdrawn(climbed("pass", "pass", shown_by=())), "no rung shows it"


def test_a_rung_passes_only_if_all_that_failed_is_withdrawn() -> None:
    after = withdraw_without_effect(climbed("pass", "pass"))
    assert after.results["structure"].judgement == "pass" and not after.findings
    assert after.results["structure"].message.startswith("1 differences without effect on values; first: a: other")
    after = withdraw_without_effect(climbed("pass", "pass", more=True))
    assert after.results["structure"].judgement == "fail"
    assert [one.layer for one in after.findings] == ["b"]
