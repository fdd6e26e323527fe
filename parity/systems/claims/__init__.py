"""Every statement of the documents that this project grew from, measured on the twins.

One table of claims a document: :mod:`parity.systems.claims.seed_000` and so on. A verdict follows from the measurement; none is
written down in advance, except where a claim is about something that no measurement here can settle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parity.systems.claims import seed_000, seed_001, seed_002, seed_003, seed_004
from parity.systems.claims.measured import Document, Language
from parity.systems.claims.twins import Twins

DOCUMENTS: tuple[Document, ...] = tuple(seed.DOCUMENT for seed in (seed_000, seed_001, seed_002, seed_003, seed_004))


def measure(twins: Twins | None = None, documents: Sequence[Document] = DOCUMENTS) -> list[dict[str, Any]]:
    """Measure every claim of every document.

    A document has ``id``, ``title`` and ``claims``, each of which has ``id``, ``claim``, ``source``, ``verdict`` and
    ``measured``, as the report takes them.
    """
    twins = twins or Twins()
    return [
        {"id": document.number, "title": document.title, "claims": _measured(document, twins)} for document in documents
    ]


def _measured(document: Document, twins: Twins) -> list[dict[str, Any]]:
    results = []
    for claim in document.claims:
        found = claim.measure(twins)
        results.append(
            {
                "id": f"{document.number}.{claim.name}",
                "claim": {"en": claim.en, "zh": claim.zh},
                "source": _sources(document, claim.sections.split()),
                "verdict": found.verdict,
                "measured": {"en": found.en, "zh": found.zh},
            }
        )
    return results


def _sources(document: Document, keys: Sequence[str]) -> dict[Language, str]:
    """The sections behind their keys, as one phrase in each language."""
    named = [document.sections[key] for key in keys]
    return {"en": ", ".join(section["en"] for section in named), "zh": "、".join(section["zh"] for section in named)}
