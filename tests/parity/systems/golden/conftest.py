"""Folders with golden records, and replays that tests share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.systems.golden import dcgan_training, replay, specgan_forward, specgan_spectrogram
from parity.systems.golden.records import Record
from parity.systems.training.implementations import Implementation, one_thread
from shared_impl.config.section import Section
from tests.parity.systems.golden.copies import copied, only

COMPUTED = [
    (specgan_forward, "forward"),
    (specgan_spectrogram, "quantities"),
    (dcgan_training, "replay"),
    (replay, "run"),
    (replay, "drawn_weights"),
]


@pytest.fixture(autouse=True)
def _one_thread():
    """Other processes compete for the cores; with more threads than cores torch waits more than it computes."""
    with one_thread():
        yield


@pytest.fixture
def dcgan(tmp_path) -> Path:
    """The DCGAN's training record alone."""
    return copied(tmp_path, "dcgan_training")


@pytest.fixture
def specgan(tmp_path) -> Path:
    """One setting of SpecGAN's forward record alone, with batch norm in training mode."""
    return only(tmp_path, "specgan_forward", "batchnorm_train")


@pytest.fixture
def spectrogram(tmp_path) -> Path:
    """The record of spectrograms alone."""
    return copied(tmp_path, "specgan_spectrogram")


@pytest.fixture
def training(tmp_path) -> Callable[[str], Path]:
    """Makes a folder with a single setting of SpecGAN's training record."""
    return lambda loss: only(tmp_path, "specgan_training", loss)


@pytest.fixture(scope="session")
def computed() -> dict[Any, Any]:
    """What the unchanged implementations computed so far, by function and arguments."""
    return {}


@pytest.fixture
def replayed_once(monkeypatch, computed) -> None:
    """Each replay is computed once for all tests that change recorded numbers only."""
    for module, name in COMPUTED:
        monkeypatch.setattr(module, name, remembered(computed, getattr(module, name)))


@pytest.fixture
def replayed_once_but(monkeypatch, computed) -> Callable[[str], None]:
    """The same for SpecGAN's training, but for the framework in which a test plants a fault."""

    def remember(faulty: str) -> None:
        run = replay.run
        kept = remembered(computed, run)
        monkeypatch.setattr(
            replay,
            "run",
            lambda implementation, *rest: (run if implementation.name == faulty else kept)(implementation, *rest),
        )
        monkeypatch.setattr(replay, "drawn_weights", remembered(computed, replay.drawn_weights))

    return remember


def remembered(computed: dict[Any, Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, which computes once for equal arguments; records only name files in its messages."""

    @wraps(function)
    def once(*arguments: Any) -> Any:
        key = (function.__qualname__, function.__module__, *map(_key, arguments))
        if key not in computed:
            computed[key] = function(*arguments)
        return computed[key]

    return once


def _key(argument: Any) -> Any:
    if isinstance(argument, Record):
        return "record"
    if isinstance(argument, Section):
        return argument.model_dump_json()
    if isinstance(argument, Implementation):
        return argument.name
    if isinstance(argument, dict):
        return tuple((name, _key(value)) for name, value in argument.items())
    return (argument.shape, argument.dtype.str, argument.tobytes()) if isinstance(argument, np.ndarray) else argument
