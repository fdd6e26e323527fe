"""Every statement of the documents that this project grew from, measured on the twins.

A document is a file in documents/ (:mod:`parity.systems.claims.document` says how a claim is written), what it is
measured by a function in measures/. A verdict follows from the measurement; none is written down in advance, except
where a claim is about something that no measurement here can settle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from parity.systems.chains import Twins
from parity.systems.claims.document import FOLDER, Document, Truth, read
from parity.systems.claims.measures.registry import Figures

DOCUMENTS: tuple[Document, ...] = tuple(sorted(map(read, FOLDER.glob("*.yaml")), key=lambda one: one.number))


def measure(twins: Twins | None = None, documents: Sequence[Document] = DOCUMENTS) -> list[dict[str, Any]]:
    """Measure every claim of every document; what several claims ask for is measured once.

    A document has ``id``, ``title`` and ``claims``, each of which has ``id``, ``claim``, ``source``, ``verdict`` and
    ``measured``, as the report takes them.
    """
    twins, known = twins or Twins(), dict[str, Figures]()
    return [
        {"id": document.number, "title": dict(document.title), "claims": [*_measured(document, twins, known)]}
        for document in documents
    ]


def _measured(document: Document, twins: Twins, known: dict[str, Figures]) -> Iterator[dict[str, Any]]:
    verdicts: dict[str, Truth] = {}
    for claim in document.claims:
        key = repr((claim.measure, claim.arguments)) if claim.measure else f"{document.number}.{claim.id}"
        if key not in known:
            known[key] = claim.figures(twins, verdicts)
        verdicts[claim.id] = claim.verdict(known[key])
        yield {
            "id": f"{document.number}.{claim.id}",
            "claim": {"en": claim.en, "zh": claim.zh},
            "source": document.source(claim),
            "verdict": verdicts[claim.id],
            "measured": {"en": claim.words(known[key], "en"), "zh": claim.words(known[key], "zh")},
        }
