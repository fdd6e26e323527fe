"""Which pairs the words of a command line name. Imports no framework."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from parity.systems.network_pair import NETWORKS, NetworkPair
from parity.systems.registry import NETWORK_VARIANTS, AnyPair, registry
from parity.systems.training.training_pair import TrainingPair
from parity.verdict import UnusableInput
from shared_impl.config.presets import ConfigError, load, presets

TRAINED = TrainingPair.network
FILE = re.compile(r"(?P<file>.+\.ya?ml)(?:\.(?P<network>\w+))?")


def select(words: Sequence[str]) -> list[AnyPair]:
    """The pairs that command-line words name.

    A word is a system (``specgan``: every pair of it), a network or training (``specgan.generator``,
    ``specgan.training``), a pair, a preset (``specgan_tiny``) or a configuration of one's own (``my.yaml``) with or
    without ``.network``, or an override (``optimizer.kind=rmsprop``) of these; networks take those of their model only.

    Raises:
        UnusableInput: an unknown word (the valid ones are listed), or an override without a preset.
    """
    overrides = tuple(word for word in words if "=" in word and ":" not in word.partition("=")[0])
    chosen: list[AnyPair] = []
    for word in words:
        if word not in overrides:
            chosen += _named(word, overrides)
    if overrides and not any(_may_name_preset(word) for word in words if word not in overrides):
        raise UnusableInput(
            f"{' '.join(overrides)}: overrides need a preset to override; valid: {', '.join(presets())}"
        )
    return list(dict.fromkeys(chosen))


def in_a_mirror(pairs: Sequence[AnyPair]) -> list[AnyPair]:
    """The networks among ``pairs``, compared in a mirror; UnusableInput if there is none."""
    found: list[AnyPair] = [pair.in_a_mirror() for pair in pairs if isinstance(pair, NetworkPair)]
    if not found:
        raise UnusableInput("networks are compared in a mirror, training is not: leave --mirrored out")
    return found


def without_mirror(pairs: Sequence[AnyPair]) -> str:
    """A line on those of ``pairs`` that :func:`in_a_mirror` leaves out, and why; "" if it leaves out none."""
    names = [pair.name for pair in pairs if not isinstance(pair, NetworkPair)]
    if not names:
        return ""
    why = "a run's batches, draws and initial weights are not flipped, so it is compared as it is only"
    return f"left out by --mirrored: {', '.join(names)}: {why}; verify it without --mirrored"


def with_rungs(pairs: Sequence[AnyPair], rungs: Sequence[str]) -> list[AnyPair]:
    """Those of ``pairs`` that have any of ``rungs``; UnusableInput if there is none."""
    found = [pair for pair in pairs if set(rungs) & set(pair.rungs)]
    if not found:
        have = ", ".join(dict.fromkeys(rung for pair in pairs for rung in pair.rungs))
        raise UnusableInput(f"none of the pairs named has a rung {', '.join(rungs)}; they have {have}")
    return found


def _may_name_preset(word: str) -> bool:
    """Whether a word may name a preset, whose configuration overrides change."""
    preset, network = _split(word)
    return (preset in presets() or _is_file(preset)) and network in ("", *NETWORKS, TRAINED)


def _split(word: str) -> tuple[str, str]:
    """The preset or YAML file that a word begins with, and the network after it, or ""."""
    if match := FILE.fullmatch(word):
        return match["file"], match["network"] or ""
    preset, _, network = word.partition(".")
    return preset, network


def _is_file(preset: str) -> bool:
    return FILE.fullmatch(preset) is not None


def _named(word: str, overrides: tuple[str, ...]) -> list[AnyPair]:
    preset, network = _split(word)
    found = [pair for pair in registry() if word in (pair.system, f"{pair.system}.{pair.network}", pair.name)]
    if _may_name_preset(word) and (overrides or not found):
        names = [network] if network else [*NETWORKS, TRAINED]
        return [_from_preset(preset, name, overrides) for name in names]
    if not found:
        names = [pair.name for pair in registry()]
        systems = dict.fromkeys(system for system, _ in NETWORK_VARIANTS)
        close = get_close_matches(word, [*names, *systems, *presets()], n=1)
        hint = f", did you mean {close[0]}?" if close else ""
        if _is_file(preset):
            raise UnusableInput(f"{word}: {network!r} is no network; valid: {', '.join([*NETWORKS, TRAINED])}")
        raise UnusableInput(
            f"unknown pair {word!r}{hint}; systems and presets: {', '.join(presets())}; pairs: {', '.join(names)}"
        )
    return found


def _from_preset(preset: str, network: str, overrides: tuple[str, ...]) -> AnyPair:
    try:
        model = load(preset, overrides).model
    except ConfigError as error:
        raise UnusableInput(str(error)) from error
    if network in NETWORKS:
        overrides = tuple(override for override in overrides if override.startswith("model."))
    name = f"{preset}.{network}" + (f":{','.join(overrides)}" if overrides else "")
    if network in NETWORKS:
        return NetworkPair(name, model.system, network, preset, overrides)
    return TrainingPair(name, model.system, preset, overrides)
