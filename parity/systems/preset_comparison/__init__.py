"""Two presets side by side: what their networks and their training have in common, and what differs.

Seed 001 compares its implementation with the DCGAN paper's in three tables by hand; these are made from the code: of
networks from a run of the Keras ones (:mod:`parity.capture`), of training from the resolved configurations.
"""

from __future__ import annotations

from typing import Any

from parity.verdict import UnusableInput
from shared_impl.config.presets import ConfigError, load
from shared_impl.config.schema import Config

NETWORKS = ("generator", "discriminator")


def configurations(a: str, b: str) -> tuple[Config, Config]:
    """Both presets, resolved; imports no framework.

    Raises:
        UnusableInput: an unknown preset or an unusable file; the message names the valid ones.
    """
    try:
        return load(a), load(b)
    except ConfigError as error:
        raise UnusableInput(f"--against {a} {b}: {error}") from error


def compare(a: str, b: str) -> dict[str, Any]:
    """The comparison as the report takes it: ``a``, ``b`` and ``parts``, each with an ``id`` and ``rows``.

    A row has the ``component``, what ``a`` and ``b`` have there, in both languages, and whether it is the ``same``.
    Raises UnusableInput as :func:`configurations`.
    """
    from parity.systems.preset_comparison.networks import ROWS, read
    from parity.systems.preset_comparison.training import ROWS as TRAINING

    presets = configurations(a, b)
    parts = []
    for network in NETWORKS:
        seen = [read(cfg.model, network) for cfg in presets]
        parts.append({"id": network, "rows": [_row(words, *map(told, seen)) for words, told in ROWS[network]]})
    parts.append({"id": "training", "rows": [_row(words, *map(told, presets)) for words, told in TRAINING]})
    return {"a": a, "b": b, "parts": parts}


def _row(words: tuple[str, str], a: tuple[str, str], b: tuple[str, str]) -> dict[str, Any]:
    component, here, there = ({"en": english, "zh": chinese} for english, chinese in (words, a, b))
    return {"component": component, "a": here, "b": there, "same": here == there}
