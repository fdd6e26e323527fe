"""The measures that documents name, a file a subject: each returns figures, and none decides a verdict."""

from parity.systems.claims.measures import chains, conditional, formulas, settings, training  # noqa: F401
from parity.systems.claims.measures.registry import MEASURES as MEASURES
