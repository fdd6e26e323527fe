"""Which matched pairs are only parts of two arrangements of one computation. Plain NumPy.

``x * sigmoid(x)`` is matched with a SiLU layer by its sigmoid, and differs there. If what comes behind both is right
once the pair is no longer held to each other's values, the difference is one of arrangement, not of the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from parity.checks.conditions import Condition, isolate
from parity.checks.measurements import LayerMeasurement, compare_layers
from parity.match.alignment import Match
from parity.match.data_flow import passed_steps
from parity.transfer.aligned_models import AlignedModels


def forget_rearranged(models: AlignedModels, conditions: list[Condition], layers: list[LayerMeasurement]) -> bool:
    """Drop pairs without weights that differ by themselves while everything computed from them agrees.

    So are pairs that one side computes in several steps (``x * sigmoid(1.702 * x)`` against GELU), right or wrong: they
    are judged as a whole. The isolated runs are made again without them. Returns whether any was dropped; nothing is
    run where no such pair differs.
    """
    doubtful = _doubtful(layers)
    if not doubtful:
        return False
    running = [condition for condition in conditions if not condition.refused]
    matching, rearranged = models.matching, models.rearranged
    models.matching, models.rearranged = matching, list(rearranged)
    models.forget_pairs(doubtful)
    _isolate_again(models, running)
    failing = {layer.key for layer in compare_layers(running) if wrong_by_itself(layer)}
    forgotten = {
        key for key, match in doubtful.items()
        if not _readers(models, match) & failing or _part_of_more(models, match, doubtful)
    }  # fmt: skip
    if len(forgotten) < len(doubtful):
        models.matching, models.rearranged = matching, rearranged
        models.forget_pairs(forgotten)
        _isolate_again(models, running)
    return bool(forgotten)


def wrong_by_itself(layer: LayerMeasurement) -> bool:
    """Whether a layer differs although it is fed what the reference's layer is fed, its shape included."""
    if layer.abstain or layer.fed_by_wrong_shape:
        return False
    return bool(layer.mismatch) or layer.isolated is not None and layer.isolated.absolute > layer.limit


def _doubtful(layers: Iterable[LayerMeasurement]) -> dict[str, Match]:
    return {
        layer.key: layer.match
        for layer in layers
        if layer.match is not None
        and not layer.match.reference.parametrised
        and not layer.match.port.parametrised
        and wrong_by_itself(layer)
    }


def _readers(models: AlignedModels, match: Match) -> set[str]:
    """The matched layers and outputs that are computed from a pair without any other matched layer in between."""
    partners = {other.port.name: other.key for other in models.matching.matches}
    behind_reference = passed_steps(models.reference_trace, partners.values())
    behind_port = passed_steps(models.port_trace, partners)
    found = {key for key, passed in behind_reference.items() if match.key in passed}
    found |= {partners.get(name, name) for name, passed in behind_port.items() if match.port.name in passed}
    return {models.output_key(name) for name in found}


def _part_of_more(models: AlignedModels, match: Match, doubtful: Mapping[str, Match]) -> bool:
    """Whether steps that compute and have no counterpart stand beside a pair, before the next matched layer."""
    partners = {other.port.name: other.key for other in models.matching.matches}
    pairs = {(one.key, one.port.name) for one in doubtful.values()}
    for trace, known, own, other in (
        (models.reference_trace, set(partners.values()), match.key, {key for key, _ in pairs}),
        (models.port_trace, set(partners), match.port.name, {name for _, name in pairs}),
    ):
        computing = {step.name for step in trace.steps if step.matchable} - other
        if any(own in passed and computing & set(passed) for passed in passed_steps(trace, known).values()):
            return True
    return False


def _isolate_again(models: AlignedModels, conditions: list[Condition]) -> None:
    with models.precision("float64"):
        for condition in conditions:
            isolate(condition)
