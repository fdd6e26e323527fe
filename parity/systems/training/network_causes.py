"""What the networks that two trainers train compute differently: the cause of whatever differs in their steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import tf_impl
import torch_impl
from parity.checks.registry import NETWORK
from parity.systems.network_pair import NETWORKS
from parity.verdict import NETWORK_RUNG, Finding, UnusableInput
from parity.verification import verify

if TYPE_CHECKING:
    from parity.systems.training.context import TrainingContext

REPRODUCED = (
    "initial-state", "optimizer-decay", "optimizer-epsilon", "learning-rate", "update-count", "weight-clipping",
    "ema-decay",
)  # fmt: skip
"""Kinds of causes that follow from the configuration or reproduce the port's own numbers: no network is to blame."""
AFTER_SCORES = ("d_loss", "g_loss", "perceptual", "texture")
"""Losses made of scores that agree."""


def may_follow_from_networks(finding: Finding) -> bool:
    """Whether the first difference of two runs may be that of the networks."""
    return finding.kind not in REPRODUCED and finding.layer not in AFTER_SCORES


def network_findings(context: TrainingContext, rung: str) -> list[Finding]:
    """The findings on both networks, as findings of ``rung`` at ``discriminator/layer``; empty if none differs, or if
    the port's trainer cannot even be built.

    D comes first, as in a step.
    """
    try:
        trainer = context.build(context.port)
    except Exception:  # of any trainer's own; whoever runs it reports the error
        return []
    return _joined(
        _placed(finding, network, rung)
        for network in reversed(NETWORKS)
        for finding in _verified(context, network, getattr(trainer, network))
    )


def _joined(findings: Iterable[Finding]) -> list[Finding]:
    """One finding a cause: those of one kind with one fix in both networks are the first, with the layers of both."""
    found: dict[tuple[str, ...], Finding] = {}
    for finding in findings:
        key = (finding.kind, finding.fix) if finding.named else (finding.kind, finding.fix, finding.layer)
        if first := found.get(key):
            message = f"{first.message}; likewise at {', '.join(finding.layers or [finding.layer])}"
            finding = replace(first, layers=[*first.layers, *finding.layers], message=message)
        found[key] = finding
    return [*found.values()]


def _verified(context: TrainingContext, network: str, port: Any) -> list[Finding]:
    model: Any = context.config.model
    reference = tf_impl.build(model, network)
    if model.stages:
        last = len(model.growing)
        reference = tf_impl.growing.network_at_stage(reference, model, network, last)
        port = torch_impl.growing.network_at_stage(port, model, network, last)
    try:
        return verify(reference, port, rungs=NETWORK, seed=context.config.training.seed).findings
    except UnusableInput:
        return []


def _placed(finding: Finding, network: str, rung: str) -> Finding:
    """The finding with its layers' names in the state of a trainer."""

    def named(layer: str) -> str:
        return f"{network}/{layer}" if layer else ""

    return replace(
        finding,
        layer=named(finding.layer),
        reference_layer=named(finding.reference_layer),
        layers=[named(layer) for layer in finding.layers],
        message=f"{network}: {finding.message}",
        rung=rung,
        evidence={**finding.evidence, NETWORK_RUNG: finding.rung},
    )
