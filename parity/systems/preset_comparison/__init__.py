"""Two presets side by side: what their networks and their training have in common, and what differs.

There are three tables: the generators and the discriminators, whose rows are read from a run of the Keras networks
(:mod:`parity.capture`), and training, whose rows are read from the resolved configurations.
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
    from parity.systems.preset_comparison import network_rows, training_rows
    from parity.systems.preset_comparison.network_run import run_network

    presets = configurations(a, b)
    parts = []
    for network in NETWORKS:
        runs = [run_network(cfg.model, network) for cfg in presets]
        rows = [_row(words, *map(describe, runs)) for words, describe in network_rows.ROWS[network]]
        parts.append({"id": network, "rows": rows})
    rows = [_row(words, *map(describe, presets)) for words, describe in training_rows.ROWS]
    parts.append({"id": "training", "rows": rows})
    return {"a": a, "b": b, "parts": parts}


def _row(words: tuple[str, str], a: tuple[str, str], b: tuple[str, str]) -> dict[str, Any]:
    component, in_a, in_b = ({"en": english, "zh": chinese} for english, chinese in (words, a, b))
    return {"component": component, "a": in_a, "b": in_b, "same": in_a == in_b}
