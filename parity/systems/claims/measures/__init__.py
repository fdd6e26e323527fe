"""The measures that documents name, a file a subject: each returns figures, and none decides a verdict."""

from parity.systems.claims.measures import conditional, formulas, settings, structure, training, values  # noqa: F401
from parity.systems.claims.measures.registry import MEASURES as MEASURES
