"""Which pairs of networks there are: together they take every value of every option."""

from __future__ import annotations

import typing

import pytest

from parity.pairs import _model, networks

SYSTEMS = sorted({pair.system for pair in networks()})
# Sizes that take minutes, to be asked for.
LARGE = {("soundgan", "image_size"): {512}, ("conditional_dcgan", "image_size"): {256}}


def values(annotation: typing.Any) -> set:
    """All values that a field may take, if they can be counted."""
    if annotation is bool:
        return {True, False}
    return set(typing.get_args(annotation)) if typing.get_origin(annotation) is typing.Literal else set()


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_option_takes_every_value(system: str) -> None:
    models = [_model(pair.preset, pair.overrides) for pair in networks() if pair.system == system]
    for field, info in type(models[0]).model_fields.items():
        if field == "system":
            continue
        taken = {getattr(model, field) for model in models}
        lacking = values(info.annotation) - taken - LARGE.get((system, field), set())
        assert not lacking, f"{system}: model.{field}: only {taken}, lacking {lacking}"


def test_names_are_unique() -> None:
    names = [pair.name for pair in networks()]
    assert len(set(names)) == len(names)
