"""The package's public face."""

from __future__ import annotations

import json
import pkgutil

import pytest

import parity
from parity.verdict import Check, Coverage, LayerRow, RungResult, Verdict


def test_every_public_name_is_there() -> None:
    for name in parity.__all__:
        assert callable(getattr(parity, name)), name
    with pytest.raises(AttributeError, match="has no attribute 'verfy'; it offers .*verify"):
        _ = parity.verfy


def test_no_module_hides_a_public_name() -> None:
    """Importing ``parity.x`` sets the attribute ``x`` of the package, so no module may be called like a function."""
    assert not {module.name for module in pkgutil.iter_modules(parity.__path__)} & set(parity.HOMES)
    assert set(parity.HOMES) == set(parity.__all__)


def test_json_holds_the_fields_of_the_schema_alone() -> None:
    """``parity-verdict/1`` is read by others: what the engine notes for itself stays out of it."""
    check = Check("forward", "a", "chained", "fail", 1.0, 2.0, chained=True)
    row = LayerRow("conv", "a", "b", judgement="fail", inherits=True)
    rungs = {"forward": RungResult("forward", "fail", checks=[check])}
    found = json.loads(Verdict("pair", rungs, [row], [], Coverage(1, 1), first_divergence=row).to_json())
    assert [*found] == [
        "schema", "passed", "faithful_for", "headline", "name", "rungs", "layers", "findings", "coverage",
        "first_divergence", "output_judged", "seed", "versions", "command", "seconds", "training", "scope",
        "not_asked", "weights", "notes",
    ]  # fmt: skip
    assert [*found["rungs"]["forward"]] == ["name", "judgement", "message", "checks", "seconds", "worst"]
    assert [*found["rungs"]["forward"]["checks"][0]] == [
        "rung", "layer", "what", "judgement", "measured", "limit", "unit", "message",
    ]  # fmt: skip
    assert found["rungs"]["forward"]["worst"] == found["rungs"]["forward"]["checks"][0]
    assert [*found["layers"][0]] == [
        "kind", "reference_layer", "layer", "reference_shape", "shape", "reference_source", "source", "parameters",
        "reference_attributes", "attributes", "reference_padding", "padding", "float64", "isolated", "rounding",
        "referee", "judgement", "note",
    ]  # fmt: skip
    assert found["first_divergence"] == found["layers"][0]
