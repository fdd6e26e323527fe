"""What a verification found: plain data, ready for a terminal, a report or JSON. Imports no framework."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

SCHEMA = "parity-verdict/1"
Judgement = Literal["pass", "fail", "known-difference", "abstain"]
Scope = Literal["training", "inference"]
SCOPES: tuple[Scope, ...] = ("training", "inference")
TRAINING_RUNGS = ("gradients", "penalty", "state")
"""Rungs of a network that only training needs."""
TRAINING_KINDS = ("batchnorm-momentum", "dropout-rate")
VALUES = "forward"
NETWORK_RUNG = "network_rung"
"""In the evidence of a finding on training: the rung of a network that found it; training differs in consequence."""
SHOWN = 6
"""Largest number of layers that a sentence lists by name."""
INTERNAL = {"json": False}  # of a field that is no part of the schema
WHOSE_WEIGHTS = {"copied": "with the reference's weights copied", "own": "own weights"}
SEVERITY: dict[Judgement, int] = {"fail": 3, "abstain": 2, "known-difference": 1, "pass": 0}


class NotFaithful(AssertionError):
    """Raised by :meth:`Verdict.raise_if_failed`; its text is the verdict's summary."""


class UnusableInput(ValueError):
    """What the caller handed over cannot be judged at all; the command line turns it into exit status 2."""


@dataclass(frozen=True)
class Finding:
    """One fault: where it is, what it is, and what mends it.

    ``layers`` names every layer of the port that has it, ``layer`` (``reference_layer``) the first. Not ``named``:
    no hypothesis reproduces what the port computes. ``known``: a difference that stock layers cannot avoid.
    """

    kind: str
    layer: str
    reference_layer: str
    message: str
    fix: str
    rung: str
    evidence: dict[str, Any] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)
    named: bool = field(default=True, metadata=INTERNAL)
    known: bool = field(default=False, metadata=INTERNAL)


@dataclass(frozen=True)
class Check:
    """One judged measurement. ``measured`` and ``limit`` share ``unit``; both are None where nothing is numeric.

    ``chained``: it was made on the layer's own upstream, so that the error of a layer before it shows in it too.
    ``training``: what it judges is without effect on inference. ``shown_by``: the rungs whose values would show the
    difference if it mattered; a failure is withdrawn where they show none.
    """

    rung: str
    layer: str
    what: str
    judgement: Judgement
    measured: float | None = None
    limit: float | None = None
    unit: str = ""
    message: str = ""
    chained: bool = field(default=False, metadata=INTERNAL)
    training: bool = field(default=False, metadata=INTERNAL)
    shown_by: tuple[str, ...] = field(default=(), metadata=INTERNAL)


@dataclass
class RungResult:
    """A rung's judgement is its worst check; an empty rung abstains and says why in ``message``."""

    name: str
    judgement: Judgement
    message: str = ""
    checks: list[Check] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def worst(self) -> Check | None:
        """The check nearest to, or furthest beyond, its limit."""
        numeric = [check for check in self.checks if check.measured is not None and check.limit]
        return max(numeric, key=lambda check: _excess(check), default=None)


@dataclass
class LayerRow:
    """One line of the report: a matched layer, or one that stands on one side only (the other name is empty).

    Shapes are in each framework's own layout. ``padding`` holds the measured ``(before, after)`` amounts per spatial
    axis: what a convolution pads (and reads), what a transposed one crops. ``float64`` is the chained relative error,
    ``isolated`` the same when the layer is fed the reference's input, ``rounding`` the float32 difference as a
    multiple of the rounding the frameworks show against their own float64. ``inherits``: the layer fails and is right
    on the reference's input, with its features in the reference's order.
    """

    kind: str
    reference_layer: str
    layer: str
    reference_shape: list[int] = field(default_factory=list)
    shape: list[int] = field(default_factory=list)
    reference_source: str = ""
    source: str = ""
    parameters: int = 0
    reference_attributes: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    reference_padding: list[list[int]] | None = None
    padding: list[list[int]] | None = None
    float64: float | None = None
    isolated: float | None = None
    rounding: float | None = None
    referee: str = ""
    judgement: Judgement = "pass"
    note: str = ""
    inherits: bool = field(default=False, metadata=INTERNAL)


@dataclass(frozen=True)
class Coverage:
    """How many layers (of a training run: parameters) were judged by value, and by what reason the others were not."""

    judged: int
    total: int
    abstained: dict[str, str] = field(default_factory=dict)
    unit: str = "layers"

    def __str__(self) -> str:
        if not self.total:
            return f"no {self.unit} to judge one by one"
        text = f"{self.judged} of {self.total} {self.unit} judged"
        reasons: dict[str, list[str]] = {}
        for name, why in self.abstained.items():
            reasons.setdefault(why, []).append(name)
        groups = "; ".join(f"{listed(names)} ({why})" for why, names in reasons.items())
        return f"{text}; not judged: {groups}" if groups else text


@dataclass(frozen=True)
class Curve:
    """One loss of a training run, a value a step, in both frameworks."""

    name: str
    reference: list[float]
    port: list[float]


@dataclass(frozen=True)
class Training:
    """A training run in both frameworks: its losses, and by step how far its states are apart.

    ``apart`` is the largest relative distance of any array that can be judged, ``rounding`` the largest by which
    rounding alone moves the reference; both are empty where single values cannot be judged. ``conditions`` say what was
    trained.
    """

    steps: int
    conditions: str
    curves: list[Curve]
    apart: list[float] = field(default_factory=list)
    rounding: list[float] = field(default_factory=list)


@dataclass
class Verdict:
    """The outcome of one pair: rungs in ladder order, layers in execution order, findings worst first.

    On a system's training, ``layers`` holds its parameters: ``float64`` is the largest relative error over the run,
    ``isolated`` the one after the first step, ``rounding`` the largest in units of what rounding does. ``weights`` says
    whose a network was judged with: the reference's, ``copied`` into the port, or the port's ``own``. ``notes`` tell
    what a reader should know although nothing is wrong with it.
    """

    name: str
    rungs: dict[str, RungResult]
    layers: list[LayerRow]
    findings: list[Finding]
    coverage: Coverage
    first_divergence: LayerRow | None = None
    output_judged: bool = True
    seed: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    command: str = ""
    seconds: float = 0.0
    training: Training | None = None
    scope: Scope = "training"
    not_asked: list[str] = field(default_factory=list)
    weights: Literal["", "copied", "own"] = ""
    notes: list[str] = field(default_factory=list)

    @property
    def faithful_for(self) -> Literal["training", "inference", ""]:
        """What the port may be used for: training and inference, inference alone, or neither.

        Nothing that was asked may fail, and the output of the whole network must be among what was judged.
        """
        failing = self._failing
        broken = any(rung.judgement == "fail" for rung in self.rungs.values())
        if not self.output_judged or any(not concerns_training(check) for check in failing):
            return ""
        return "inference" if broken or self.scope == "inference" else "training"

    @property
    def passed(self) -> bool:
        """Faithful for the scope that was asked."""
        return self.faithful_for in ("training", self.scope)

    @property
    def headline(self) -> str:
        """One line: the verdict, the first cause and where it is, and what was judged."""
        whose = WHOSE_WEIGHTS.get(self.weights, "")
        if self.passed:
            judged = filter(None, (whose, ", ".join(self.rungs), self._judged))
            return f"{self.name}: {self._praise} ({'; '.join(judged)})"
        if self.faithful_for == "inference":
            return f"{self.name}: faithful for inference, NOT for training: {self._first_cause(True, whose)}"
        if not any(rung.judgement == "fail" for rung in self.rungs.values()):
            judged = filter(None, (whose, self._judged))
            return f"{self.name}: not shown faithful: its output could not be judged ({'; '.join(judged)})"
        return f"{self.name}: NOT faithful: {self._first_cause(False, whose)}"

    @property
    def _praise(self) -> str:
        if VALUES in self.not_asked:
            return f"no difference found; not asked: {', '.join(self.not_asked)}, so whether it is faithful is open"
        scope = " for inference" if self.scope == "inference" else ""
        return f"faithful{scope}" + (f"; not asked: {', '.join(self.not_asked)}" if self.not_asked else "")

    @property
    def _judged(self) -> str:
        if not self.coverage.total and VALUES in self.rungs and self.output_judged:
            return "the network's output judged as a whole: it has no layers to judge one by one"
        return str(self.coverage)

    def _first_cause(self, training: bool, whose: str) -> str:
        """The first cause and its layer; where none was found, the first rung that fails."""
        finding = first_cause(self.findings, self._failing, training)
        if finding is None:
            rung = next(rung.name for rung in self.rungs.values() if rung.judgement == "fail")
            first = self.first_divergence
            where = f" at {first.layer or first.reference_layer}" if first else ""
            return f"{rung} fails{where}" + (f" ({whose})" if whose else "")
        layers = finding.layers or [finding.layer or finding.reference_layer]
        where = f"{len(layers)} layers" if len(layers) > 1 else layers[0]
        kind = finding.kind if finding.named else f"{finding.kind} (cause unknown)"
        kind += " of the networks that are trained" if NETWORK_RUNG in finding.evidence else ""
        return f"{kind} at {where} ({'; '.join(filter(None, (f'{finding.rung} fails', whose)))})"

    @property
    def _failing(self) -> list[Check]:
        return [check for rung in self.rungs.values() for check in rung.checks if check.judgement == "fail"]

    def raise_if_failed(self) -> None:
        """Raise :class:`NotFaithful` with the whole explanation unless the pair passed."""
        if not self.passed:
            raise NotFaithful(self.to_text())

    def to_text(self) -> str:
        """Headline, findings, broken rungs and notes, for a terminal or an assertion message."""
        lines = [self.headline]
        for finding in self.findings:
            lines += [f"  [{finding.kind}] {finding.message}", f"      fix: {finding.fix}"]
        rungs_by_message: dict[tuple[str, str], list[str]] = {}
        for rung in self.rungs.values():
            if rung.judgement in ("fail", "abstain"):
                rungs_by_message.setdefault((rung.judgement, rung.message), []).append(rung.name)
        lines += [
            f"  {', '.join(names)}: {judgement}: {message}" for (judgement, message), names in rungs_by_message.items()
        ]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def to_json(self) -> str:
        """The whole verdict as JSON, schema ``parity-verdict/1``; NaN and infinities become strings."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON-ready plain data."""
        said = {"passed": self.passed, "faithful_for": self.faithful_for, "headline": self.headline}
        body: dict[str, Any] = {"schema": SCHEMA, **said, **plain(self)}
        for name, rung in self.rungs.items():
            body["rungs"][name]["worst"] = plain(rung.worst)
        return body

    def to_markdown(self) -> str:
        """The verdict as a Markdown section: rungs, layers, findings."""
        from parity.report.markdown import verdict_section

        return verdict_section(self.to_dict())


def judge(fine: bool, abstain: object = "") -> Judgement:
    """Pass or fail, or abstain where there is a reason to."""
    return "abstain" if abstain else "pass" if fine else "fail"


def concerns_training(check: Check) -> bool:
    """Whether what a check judges is without effect on inference."""
    return check.training or check.rung in TRAINING_RUNGS


def first_cause(findings: Sequence[Finding], failing: Sequence[Check], training: bool) -> Finding | None:
    """The finding that stands for a verdict: a named one before others, in climbing order.

    Unless ``training`` alone is broken, one that inference sees too comes before those of training. None without
    findings.
    """
    seen = {check.layer for check in failing if not concerns_training(check)}

    def rank(finding: Finding) -> tuple[bool, bool]:
        of_training = finding.rung in TRAINING_RUNGS or finding.kind in TRAINING_KINDS
        of_training |= not seen & {finding.layer, finding.reference_layer, *finding.layers}
        return not training and of_training, not finding.named

    return min(findings, key=rank, default=None)


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """Names with commas, those beyond ``shown`` as a count."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def worst_judgement(checks: list[Check]) -> Judgement:
    """The gravest judgement among checks; an abstaining check only counts where nothing else was judged."""
    judged = [check.judgement for check in checks if check.judgement != "abstain"]
    return max(judged, key=SEVERITY.__getitem__, default="abstain")


def first_line(error: BaseException | None) -> str:
    """An exception in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _excess(check: Check) -> float:
    """How far a check is beyond its limit."""
    assert check.measured is not None and check.limit
    excess = check.measured / check.limit
    return float("inf") if excess != excess else excess


def plain(value: Any) -> Any:
    """Any nested value as JSON-ready data; arrays become lists, NaN and infinities words, dataclasses their fields."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.metadata.get("json", True)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
