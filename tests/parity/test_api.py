"""The package's public face."""

from __future__ import annotations

import pkgutil

import pytest

import parity


def test_every_public_name_is_there() -> None:
    for name in parity.__all__:
        assert callable(getattr(parity, name)), name
    with pytest.raises(AttributeError, match="has no attribute 'verfy'; it offers .*verify"):
        _ = parity.verfy


def test_no_module_hides_a_public_name() -> None:
    """Importing ``parity.x`` sets the attribute ``x`` of the package, so no module may be called like a function."""
    assert not {module.name for module in pkgutil.iter_modules(parity.__path__)} & set(parity.HOMES)
    assert set(parity.HOMES) == set(parity.__all__)
