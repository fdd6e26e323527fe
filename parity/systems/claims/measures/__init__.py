"""The measures that documents name, a file a subject: each returns figures, and none decides a verdict."""

from parity.systems.claims.measures import (  # noqa: F401, each registers its own
    attention,
    conditional,
    formulas,
    normalisation,
    settings,
    structure,
    training,
    values,
)
from parity.systems.claims.measures.registry import MEASURES as MEASURES
