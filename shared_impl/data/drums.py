"""Four drums, synthesised: a kick, a snare, a hi-hat and a tom, each hit of another pitch, length and brightness.

:func:`clip` makes one, :func:`folder` all of them as 16-bit wav files, read afterwards like anybody's recordings.
Every clip is drawn from its own ``numpy.random.RandomState``, a frozen generator, so the files are the same everywhere.
The recipes are those of analogue drum machines: swept sines for skins, filtered noise for wires, detuned square waves
for metal (Roland's TR-808; its hat oscillators at 205 ... 800 Hz).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import RandomState

from shared_impl.data.audio import write_wav
from shared_impl.data.errors import DataError

RATE = 16000  # Hz
SAMPLES = 16384  # one slice of SpecGAN: 1.024 s
PER_CLASS = 256
HISS = 10 ** (-70 / 20)  # recordings have a floor; without one, digital silence tells a real clip from a generated one
VERSION = 1  # to be raised whenever a sample of a clip changes
MARK = "drums.json"  # marks a finished folder

HAT_OSCILLATORS = (205.3, 304.4, 369.6, 522.7, 540.0, 800.0)  # Hz: the TR-808's six


def clip(name: str, number: int) -> np.ndarray:
    """Hit ``number`` of a drum of DRUMS: float64 [16384] at RATE, faded out, over a hiss as of tape (-70 dB)."""
    random = RandomState([VERSION, list(DRUMS).index(name), number])
    hit = DRUMS[name](random)
    hit *= np.minimum(1, np.arange(SAMPLES)[::-1] / (0.02 * RATE))
    return hit * random.uniform(0.5, 0.95) / np.abs(hit).max() + HISS * noise(random)


def folder(place: Path | None = None) -> Path:
    """The folder ``place`` (None: one in the user's cache) holding DRUM/NNN.wav; written if it is not there yet.

    It appears at once or not at all, whoever else is making it. Raises DataError where ``place`` holds something else
    or cannot be written.
    """
    target = cached() if place is None else place
    if (target / MARK).is_file():
        return target
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"drums:{target}: holds something else ({MARK} is missing); name a new or an empty folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as partial:
            draft = Path(partial) / target.name
            draft.mkdir()
            _write(draft)
            os.replace(draft, target)
    except OSError as error:
        if not (target / MARK).is_file():  # no other process was faster
            raise DataError(f"drums:{target}: cannot be written ({error.strerror}); name another folder") from error
    return target


def cached() -> Path:
    """Where the clips are kept if the user names no folder."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "parity-bridge" / f"drums-{VERSION}"


def kick(random: RandomState) -> np.ndarray:
    """A sine that falls from about 200 to 50 Hz, driven a little, with the beater's click."""
    low = random.uniform(42, 62)
    pitch = low + low * random.uniform(1.5, 4) * decay(random.uniform(0.015, 0.05))
    skin = np.tanh(random.uniform(1, 3) * swept(pitch) * decay(random.uniform(0.08, 0.28)))
    return skin + random.uniform(0.05, 0.3) * band(noise(random), 1500) * decay(random.uniform(0.002, 0.006))


def snare(random: RandomState) -> np.ndarray:
    """Two modes of a skin near 180 and 330 Hz under the rattle of wires: noise above 1 to 2 kHz."""
    tone = random.uniform(150, 230)
    bend = 1 + 0.3 * decay(0.015)
    skin = swept(tone * bend) + random.uniform(0.3, 0.8) * swept(tone * random.uniform(1.6, 1.9) * bend)
    wires = band(noise(random), random.uniform(900, 2200))
    return random.uniform(0.3, 0.8) * skin * decay(random.uniform(0.04, 0.1)) + wires * decay(random.uniform(0.06, 0.2))


def hat(random: RandomState) -> np.ndarray:
    """Six square waves out of tune and noise, above some 5 kHz: closed and short, or (one in three) open and long."""
    tune = random.uniform(0.85, 1.3)
    metal = sum(np.sign(swept(np.full(SAMPLES, f * tune), random.uniform(0, 1))) for f in HAT_OSCILLATORS)
    bright = band(metal / 3 + random.uniform(0.3, 1) * noise(random), random.uniform(4500, 6000))
    is_open = random.uniform() < 1 / 3
    return bright * decay(random.uniform(0.15, 0.35) if is_open else random.uniform(0.02, 0.06))


def tom(random: RandomState) -> np.ndarray:
    """A skin of 80 to 200 Hz that sinks by a third, with its next mode at 1.59 times the pitch."""
    base = random.uniform(80, 200)
    pitch = base * (1 + random.uniform(0.2, 0.5) * decay(random.uniform(0.04, 0.12)))
    length = random.uniform(0.12, 0.32)
    skin = swept(pitch) * decay(length) + random.uniform(0.1, 0.4) * swept(1.59 * pitch) * decay(length / 2)
    return skin + random.uniform(0.02, 0.1) * band(noise(random), 600) * decay(0.03)


DRUMS: dict[str, Callable[[RandomState], np.ndarray]] = {"kick": kick, "snare": snare, "hat": hat, "tom": tom}


def decay(seconds: float) -> np.ndarray:
    """``exp(-t / seconds)`` over a clip."""
    return np.exp(-np.arange(SAMPLES) / (RATE * seconds))


def swept(pitch: np.ndarray, turns: float = 0.0) -> np.ndarray:
    """A sine that follows ``pitch`` (Hz, [16384]), starting ``turns`` into its cycle."""
    return np.sin(2 * np.pi * (turns + np.cumsum(pitch) / RATE))


def noise(random: RandomState) -> np.ndarray:
    """White noise of unit variance."""
    return random.standard_normal(SAMPLES)


def band(signal: np.ndarray, above: float) -> np.ndarray:
    """``signal`` without what lies below ``above`` Hz: a fourth-order Butterworth magnitude, without phase."""
    frequencies = np.fft.rfftfreq(SAMPLES, 1 / RATE)
    gain = 1 / np.sqrt(1 + (above / np.maximum(frequencies, 1e-9)) ** 8)
    return np.fft.irfft(np.fft.rfft(signal) * gain, SAMPLES)


def _write(place: Path) -> None:
    for name in DRUMS:
        (place / name).mkdir()
        for number in range(PER_CLASS):
            write_wav(place / name / f"{number:03}.wav", clip(name, number).astype(np.float32), RATE)
    (place / MARK).write_text(json.dumps({"version": VERSION, "per_class": PER_CLASS, "rate": RATE}) + "\n")
