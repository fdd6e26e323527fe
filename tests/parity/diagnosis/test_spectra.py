"""Spectra of a signal: every way of taking them is distinguished from every other."""

from __future__ import annotations

import numpy as np
import pytest

from parity.diagnosis.between import Between, explain_between
from parity.diagnosis.between.spectra import WINDOWS

SIGNAL = np.random.default_rng(0).standard_normal((3, 96))


def spectra(n=16, hop=8, window="Hann", periodic=True, centre="", power=1, factor=1.0, flat=False, turned=False):
    """``[batch, frames, bins]``, made frame by frame."""
    signal = np.pad(SIGNAL, ((0, 0), (n // 2, n // 2)), mode=centre) if centre else SIGNAL
    taps = WINDOWS[window][0](n, periodic)
    frames = [signal[:, at : at + n] for at in range(0, signal.shape[1] - n + 1, hop)]
    values = factor * np.abs(np.stack([np.fft.rfft(frame * taps) for frame in frames], 1)) ** power
    return values.reshape(3, -1) if flat else values.swapaxes(1, 2) if turned else values


@pytest.mark.parametrize(
    ("expected", "got", "kind", "words"),
    [
        ({}, {"periodic": False}, "stft-window", ["Hann window (symmetric)", "Hann window (periodic)"]),
        ({}, {"window": "Hamming"}, "stft-window", ["Hamming window (periodic)"]),
        ({}, {"window": "rectangular"}, "stft-window", ["rectangular window"]),
        ({}, {"window": "Blackman"}, "stft-window", ["Blackman"]),
        ({}, {"power": 2}, "stft-power", ["the power of", "the magnitude of"]),
        ({}, {"factor": 0.25}, "scale-factor", ["sqrt(n)"]),
        ({}, {"centre": "reflect"}, "stft-centre", ["centred, reflecting", "not centred"]),
        ({"centre": "reflect"}, {"centre": "constant"}, "stft-centre", ["centred, with zeros"]),
        ({"flat": True}, {"flat": True, "power": 2}, "stft-power", ["frames of 16 every 8"]),
        ({"turned": True}, {"turned": True, "periodic": False}, "stft-window", ["symmetric"]),
    ],
)
def test_spectra_taken_another_way(expected: dict, got: dict, kind: str, words: list[str]) -> None:
    found = explain_between(Between({"x": SIGNAL}, spectra(**expected), spectra(**got)))
    assert found is not None and found[0] == kind, found
    assert all(word in found[1] for word in words), found[1]
    assert "torch.stft(x, 16, 8" in found[2]


def test_equal_spectra_and_foreign_values_have_no_cause() -> None:
    other = np.random.default_rng(1).uniform(1, 2, spectra().shape)
    assert explain_between(Between({"x": SIGNAL}, spectra(), spectra())) is None
    assert explain_between(Between({"x": SIGNAL}, spectra(), other)) is None
