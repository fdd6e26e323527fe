"""Which pairs of networks there are: together they take every value of every option."""

from __future__ import annotations

import typing

import pytest

from parity.systems.registry import LARGE as BRIEF
from parity.systems.registry import SHALLOW, network_pairs
from parity.verification import verify

SYSTEMS = sorted({pair.system for pair in network_pairs()})
# Sizes that take minutes, to be asked for.
LARGE = {("soundgan", "image_size"): {512}}


def values(annotation: typing.Any) -> set:
    """All values that a field may take, if they can be counted."""
    if annotation is bool:
        return {True, False}
    return set(typing.get_args(annotation)) if typing.get_origin(annotation) is typing.Literal else set()


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_option_takes_every_value(system: str) -> None:
    models = [pair.model for pair in network_pairs() if pair.system == system]
    for field, info in type(models[0]).model_fields.items():
        if field == "system":
            continue
        taken = {getattr(model, field) for model in models}
        lacking = values(info.annotation) - taken - LARGE.get((system, field), set())
        assert not lacking, f"{system}: model.{field}: only {taken}, lacking {lacking}"


def test_names_are_unique() -> None:
    names = [pair.name for pair in network_pairs()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_network_at_full_size_climbs_as_far_as_its_values(network: str) -> None:
    (pair,) = (pair for pair in network_pairs() if pair.name == f"dcgan.{network}")
    verdict = pair.verify()
    assert tuple(verdict.rungs) == SHALLOW and verdict.passed
    assert "evaluation, batch of 4; evaluation, batch of 1; training, batch of 4" in verdict.rungs["forward"].message
    assert {pair.preset for pair in network_pairs() if pair.brief} == {*BRIEF}


# What is done to a layer's output.
FAULTS: dict[str, typing.Callable] = {
    "a pixel further": lambda module, given, got: got.roll(1, -1),
    "height and width exchanged": lambda module, given, got: got.transpose(2, 3),
    "an offset": lambda module, given, got: got + 0.1,
    "channels turned about": lambda module, given, got: got.flip(1),
    "half precision": lambda module, given, got: got.half().to(got.dtype),
}


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_a_brief_comparison_is_right_about_a_layer(fault: str | None) -> None:
    (pair,) = (
        pair for pair in network_pairs() if pair.name == "soundgan.generator:image_size=128,init=normal,latent=4d"
    )
    reference, port = pair.build()
    if fault is not None:
        port.get_submodule("1.upconv_2").register_forward_hook(FAULTS[fault])
    verdict = verify(reference, port, rungs=SHALLOW, brief=True)
    assert verdict.rungs["forward"].message.endswith("values under: evaluation, batch of 2") or fault
    assert verdict.passed == (fault is None), verdict.headline
    # a hook of the caller runs behind its layer: the layer, or what is fed by it
    assert fault is None or "upconv_2" in verdict.first_divergence.layer
