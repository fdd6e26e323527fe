"""What the page and the Markdown both show of a verdict, gathered from its plain data (``parity-verdict/1``)."""

from __future__ import annotations

import re
from typing import Any

from parity.checks.registry import known_rungs
from parity.report.formats import axes, number, setting
from parity.verdict import VALUES

TRUTHS = ("true", "conditional", "false", "not measurable")
GLYPHS = {"pass": "✓", "fail": "✗", "known-difference": "≈", "abstain": "○", "absent": "·"}
ORDER = {"absent": 0, "pass": 1, "known-difference": 2, "abstain": 3, "fail": 4}
# Sizes that follow from the network's width; everything else of a layer is a default one can get wrong.
SIZES = {"rank", "features", "shape", "dims", "vocabulary", "amounts", "operation"}


def rungs_run(verdicts: list[dict[str, Any]]) -> list[str]:
    """The rungs that any verdict ran, in ladder order; unknown ones last, as they came."""
    seen = dict.fromkeys(name for verdict in verdicts for name in verdict["rungs"])
    ladder = known_rungs()
    return [name for name in ladder if name in seen] + [name for name in seen if name not in ladder]


def trains(verdict: dict[str, Any]) -> bool:
    """Whether a verdict is about a system's training rather than a network."""
    return verdict["coverage"].get("unit", "layers") != "layers"


def kinds(verdicts: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The verdicts on networks and on training, each under its section's name."""
    return {
        "networks": [verdict for verdict in verdicts if not trains(verdict)],
        "training": [verdict for verdict in verdicts if trains(verdict)],
    }


def tally(claims: list[dict[str, Any]]) -> dict[str, int]:
    """How many of a document's claims came out how, in the order of :data:`TRUTHS`."""
    return {truth: sum(claim["verdict"] == truth for claim in claims) for truth in TRUTHS}


def largest_gap(curve: dict[str, Any]) -> float | None:
    """The largest difference of a loss between the frameworks; NaN where one is not finite."""
    pairs = [(number(a), number(b)) for a, b in zip(curve["reference"], curve["port"], strict=True)]
    return _largest(abs(a - b) for a, b in pairs if a is not None and b is not None)


def is_variant(name: str) -> bool:
    """Whether a pair is a default network with options, ``specgan.generator:nc=3``."""
    return ":" in name


def base_of(name: str) -> str:
    """The default network that a variant belongs to."""
    return name.split(":")[0]


def anchor(name: str) -> str:
    """A fragment identifier for a pair."""
    return "pair-" + (re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "unnamed")


def asked(verdict: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """What was asked of a network and what it is faithful for: keys of the report's strings, ``(what, values)``.

    A value is a key, or a rung as ``rung.NAME``. Empty for a training run.
    """
    if trains(verdict) or not verdict.get("weights"):
        return []
    scope, faithful_for, not_asked = verdict["scope"], verdict["faithful_for"], verdict["not_asked"]
    result = f"faithful.for.{faithful_for}"
    if faithful_for and VALUES in not_asked:
        result = "faithful.for.open"
    elif faithful_for == scope == "inference":
        result = "faithful.for.inference.asked"
    return [
        ("scope", [f"scope.{scope}"]),
        ("faithful.for", [result]),
        ("weights.used", [f"weights.{verdict['weights']}"]),
        ("not.asked", [f"rung.{name}" for name in not_asked] or ["not.asked.none"]),
    ]


def outcome(verdict: dict[str, Any]) -> str:
    """``faithful``, ``not-faithful``, or ``open`` where nothing differs but values were not asked."""
    if not verdict["passed"]:
        return "not-faithful"
    return "open" if VALUES in verdict.get("not_asked", ()) else "faithful"


def judged_key(verdict: dict[str, Any]) -> str:
    """The string that says how much of a network was judged; another where it has no layers to count."""
    if verdict["coverage"]["total"]:
        return "coverage.layers"
    return "coverage.output" if VALUES in verdict["rungs"] and verdict["output_judged"] else "coverage.nothing"


def totals(verdicts: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures over all pairs: faithful and total pairs, judged and total layers, checks, largest errors, abstained.

    ``trained`` counts training runs, ``parameters`` and ``followed`` all and judged parameters in them; ``deviation``
    is the largest relative distance that any judged array came to.
    """
    networks = [verdict for verdict in verdicts if not trains(verdict)]
    runs = [verdict for verdict in verdicts if trains(verdict)]
    exact = [verdict for verdict in runs if verdict["coverage"]["unit"] == "parameters"]
    rows = [row for verdict in networks for row in verdict["layers"]]
    return {
        "pairs": len(verdicts),
        "passed": sum(bool(verdict["passed"]) for verdict in verdicts),
        "open": sum(outcome(verdict) == "open" for verdict in verdicts),
        "judged": sum(verdict["coverage"]["judged"] for verdict in networks),
        "layers": sum(verdict["coverage"]["total"] for verdict in networks),
        "abstained": sum(verdict["coverage"]["total"] - verdict["coverage"]["judged"] for verdict in networks),
        "checks": sum(len(rung["checks"]) for verdict in verdicts for rung in verdict["rungs"].values()),
        "float64": _largest(row["float64"] for row in rows),
        "rounding": _largest(row["rounding"] for row in rows),
        "trained": len(runs),
        "followed": sum(verdict["coverage"]["judged"] for verdict in exact),
        "parameters": sum(verdict["coverage"]["total"] for verdict in exact),
        "deviation": _largest(
            value for verdict in exact if verdict.get("training") for value in verdict["training"]["apart"]
        ),
    }


def state(figures: dict[str, Any]) -> str:
    """``faithful``, ``not-faithful``, ``open`` or ``empty``, from :func:`totals`."""
    if not figures["pairs"]:
        return "empty"
    if figures["open"] and figures["passed"] == figures["pairs"]:
        return "open"
    return "faithful" if figures["passed"] == figures["pairs"] else "not-faithful"


def limits_of(verdict: dict[str, Any]) -> dict[str, float]:
    """What each layer's float64 error was held against: the strictest relative limit of the forward rung."""
    limits: dict[str, float] = {}
    for check in verdict["rungs"].get("forward", {}).get("checks", ()):
        limit = number(check["limit"])
        if check["unit"] == "relative" and limit:
            limits[check["layer"]] = min(limit, limits.get(check["layer"], limit))
    return limits


def shape_flow(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Layers where either side's shape changes: name, kind, and each side's axes with the channel axis marked."""
    flow: list[dict[str, Any]] = []
    before: tuple[Any, Any] | None = None
    for row in rows:
        now = (row["reference_shape"], row["shape"])
        if now != before:
            flow.append(
                {
                    "layer": row["layer"] or row["reference_layer"],
                    "kind": row["kind"],
                    "reference": _tinted(row["reference_shape"], channel=-1),
                    "port": _tinted(row["shape"], channel=1),
                }
            )
        before = now
    return flow


def defaults(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Settings of both sides, one line per kind, setting and pair of values, with the layers that have them."""
    lines: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for row in rows:
        reference, port = row["reference_attributes"], row["attributes"]
        for key in dict.fromkeys((*reference, *port)):
            if key in SIZES:
                continue
            values = setting(reference.get(key)), setting(port.get(key))
            line = lines.setdefault(
                (row["kind"], key, *values),
                {
                    "kind": row["kind"],
                    "key": key,
                    "reference": values[0],
                    "port": values[1],
                    "agreement": _agreement(key, row),
                    "layers": [],
                },
            )
            line["layers"].append(row["layer"] or row["reference_layer"])
    return sorted(lines.values(), key=lambda line: (line["kind"], line["key"]))


def span(names: list[str]) -> str:
    """``upconv_0 … upconv_4 (5)`` for many names, both for two, the name itself for one."""
    return ", ".join(names) if len(names) < 3 else f"{names[0]} … {names[-1]} ({len(names)})"


def _agreement(key: str, row: dict[str, Any]) -> str:
    reference, port = row["reference_attributes"], row["attributes"]
    if key not in reference or key not in port:
        return "stated.once"
    if reference[key] == port[key]:
        return "equal"
    if key == "padding" and row["padding"] is not None and row["padding"] == row["reference_padding"]:
        return "equivalent"
    return "differs"


def _tinted(shape: list[int], channel: int) -> list[tuple[str, bool]]:
    words = axes(shape)
    marked = (channel % len(words)) if len(words) > 2 else -1
    return [(word, index == marked) for index, word in enumerate(words)]


def _largest(values: Any) -> float | None:
    numbers = [plain for plain in map(number, values) if plain is not None]
    bad = [plain for plain in numbers if plain != plain]
    return bad[0] if bad else max(numbers, default=None)
