"""Which pairs there are: together they take every value of every option of their networks."""

from __future__ import annotations

import typing

import pytest

from parity.pairs import SHALLOW, _model, networks, registry
from parity.training.pairs import TrainingPair

SYSTEMS = sorted({pair.system for pair in networks()})
# Sizes that take minutes, to be asked for.
LARGE = {("soundgan", "image_size"): {512}}


def values(annotation: typing.Any) -> set:
    """All values that a field may take, if they can be counted."""
    if annotation is bool:
        return {True, False}
    return set(typing.get_args(annotation)) if typing.get_origin(annotation) is typing.Literal else set()


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_option_takes_every_value(system: str) -> None:
    models = [
        pair.config().model if isinstance(pair, TrainingPair) else _model(pair.preset, pair.overrides)
        for pair in registry()
        if pair.system == system
    ]
    for field, info in type(models[0]).model_fields.items():
        if field == "system":
            continue
        taken = {getattr(model, field) for model in models}
        lacking = values(info.annotation) - taken - LARGE.get((system, field), set())
        assert not lacking, f"{system}: model.{field}: only {taken}, lacking {lacking}"


def test_names_are_unique() -> None:
    names = [pair.name for pair in networks()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_network_at_full_size_climbs_as_far_as_its_values(network: str) -> None:
    (pair,) = (pair for pair in networks() if pair.name == f"dcgan.{network}")
    verdict = pair.verify()
    assert tuple(verdict.rungs) == SHALLOW and verdict.passed
    assert verdict.rungs["forward"].message.endswith("values under: evaluation, batch of 2")
