"""The ladder: one table of rungs, in climbing order. Imports no framework.

:data:`NETWORK_RUNGS` are the rungs that any pair of networks climbs. Another package that has rungs of its own keeps
them in a table of the same records and registers it with :func:`register`
(:mod:`parity.systems.training.registry`). The report takes its words from here; :mod:`parity.checks.climbing` climbs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from parity.verdict import SCOPES, TRAINING_RUNGS, UnusableInput


@dataclass(frozen=True)
class Rung:
    """One rung: its name, its words in the report, and the function that climbs it.

    Args:
        name: in English; ``chinese`` in Chinese.
        why: what it shows, in one sentence; ``why_chinese`` in Chinese.
        function: ``module:name``, imported when the rung is climbed, so that a table of rungs can be read without
            importing what they judge with. It takes a context (of a network:
            :class:`parity.checks.context.CheckContext`) and returns an :class:`parity.checks.climbing.Outcome`.
        measures: whether it needs the values of both networks.
        headline: whose message stands for the rung: that of the first failing check, or that of the first finding.
    """

    name: str
    chinese: str
    why: str
    why_chinese: str
    function: str
    measures: bool = False
    headline: Literal["check", "finding"] = "check"


Rungs = Mapping[str, Rung]


def table(*rungs: Rung) -> dict[str, Rung]:
    """Rungs by name, in climbing order."""
    return {rung.name: rung for rung in rungs}


NETWORK_RUNGS: Rungs = table(
    Rung(
        "structure",
        "结构",
        "The same layers in the same order, with the same hyper-parameters.",
        "相同的层、相同的顺序、相同的超参数。",
        "parity.checks.structure:structure",
    ),
    Rung(
        "weights",
        "权重",
        "Every weight of one side has its place on the other, and survives the copy to and fro, or is there already.",
        "一边的每个权重在另一边都有对应位置，往返复制后保持不变，或者移植模型已持有相同的值。",
        "parity.checks.weights:weights",
    ),
    Rung(
        "shapes",
        "形状",
        "Every layer's output has the same shape, apart from the layout.",
        "除排列方式外，每层输出的形状相同。",
        "parity.checks.shapes:shapes",
        measures=True,
    ),
    Rung(
        "padding",
        "填充",
        "Impulses show how much each layer pads or crops at each edge; both sides must agree.",
        "用脉冲测出每层在各边填充或裁剪多少，两边必须一致。",
        "parity.checks.padding:padding",
        measures=True,
    ),
    Rung(
        "forward",
        "前向",
        "The same values come out of every layer, in float64 and, within rounding, in float32.",
        "每层输出相同的数值：float64 下一致，float32 下差异不超过舍入误差。",
        "parity.checks.forward:forward",
        measures=True,
    ),
    Rung(
        "gradients",
        "梯度",
        "The same gradients reach every parameter and the input.",
        "每个参数和输入得到相同的梯度。",
        "parity.checks.gradients:gradients",
        measures=True,
    ),
    Rung(
        "penalty",
        "梯度惩罚",
        "The gradient of a gradient agrees too, as the WGAN-GP penalty needs it.",
        "梯度的梯度也一致（WGAN-GP 梯度惩罚需要）。",
        "parity.checks.gradients:penalty",
        measures=True,
    ),
    Rung(
        "state",
        "状态",
        "What a training pass leaves behind agrees: moving averages of batch normalisation and the like.",
        "一次训练前向之后留下的状态一致，例如批归一化的滑动平均。",
        "parity.checks.state:state",
        measures=True,
    ),
)
NETWORK = tuple(NETWORK_RUNGS)

_known: dict[str, Rung] = dict(NETWORK_RUNGS)


def register(rungs: Rungs) -> None:
    """Make another package's rungs known to the report and to messages, behind those that are known already."""
    _known.update(rungs)


def known_rungs() -> dict[str, Rung]:
    """All registered rungs, in climbing order."""
    return dict(_known)


def words() -> dict[str, dict[Literal["en", "zh"], str]]:
    """The report's words: of each rung its name (``rung.forward``) and what it shows (``rung.forward.why``)."""
    found: dict[str, dict[Literal["en", "zh"], str]] = {}
    for rung in _known.values():
        found[f"rung.{rung.name}"] = {"en": rung.name, "zh": rung.chinese}
        found[f"rung.{rung.name}.why"] = {"en": rung.why, "zh": rung.why_chinese}
    return found


def rungs_of(scope: str) -> list[str]:
    """The rungs of networks that can be asked in a scope.

    Raises:
        UnusableInput: there is no such scope.
    """
    if scope not in SCOPES:
        raise UnusableInput(f"unknown scope {scope!r}; valid: {', '.join(SCOPES)}")
    return [rung for rung in NETWORK if scope == "training" or rung not in TRAINING_RUNGS]


def select_rungs(rungs: Iterable[str] | str | None, valid: Sequence[str] = NETWORK) -> list[str]:
    """The rungs asked for (names, or one comma-separated string), in climbing order; all ``valid`` ones for None.

    Raises:
        UnusableInput: a name is no valid rung; the valid ones are listed.
    """
    if rungs is None:
        return list(valid)
    names = rungs.split(",") if isinstance(rungs, str) else rungs
    wanted = [name.strip() for name in names if name.strip()]
    unknown = [name for name in wanted if name not in valid]
    if unknown or not wanted:
        known = any(name in _known for name in unknown)
        what = "there is no" if known else "unknown"
        where = " here: it needs a system and its configuration" if known else ""
        if any(name in NETWORK for name in unknown):
            where = " in this scope: only training needs it"
        raise UnusableInput(
            f"{what} rung {', '.join(map(repr, unknown)) or '(none given)'}{where}; valid: {', '.join(valid)}"
        )
    return [name for name in valid if name in wanted]
