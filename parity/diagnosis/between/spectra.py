"""Short-time spectra of a signal: frames, window, centring, magnitude or power, scale. Plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np

from parity.diagnosis.between.forms import FIT_FLOAT32, Family, Form, Target, unary

Array = np.ndarray
SMALLEST, LARGEST = 4, 4096  # lengths of frames that are tried where the target does not show its number of bins


def _cosines(*weights: float) -> Callable[[int, bool], Array]:
    """A window that is a sum of cosines, periodic (length n) or symmetric (n - 1)."""

    def window(length: int, periodic: bool) -> Array:
        angle = 2 * np.pi * np.arange(length) / max(length if periodic else length - 1, 1)
        return np.asarray(sum((-1) ** k * weight * np.cos(k * angle) for k, weight in enumerate(weights)), np.float64)

    return window


PLAIN = "rectangular"
WINDOWS: dict[str, tuple[Callable[[int, bool], Array], str]] = {
    "Hann": (_cosines(0.5, 0.5), "torch.hann_window"),
    "Hamming": (_cosines(0.54, 0.46), "torch.hamming_window"),
    "Blackman": (_cosines(0.42, 0.5, 0.08), "torch.blackman_window"),
    PLAIN: (lambda length, periodic: np.ones(length), "torch.ones"),
}
# How the signal is extended by half a frame at both ends, as NumPy calls it; None: frames begin at its first value.
CENTRES = {"not centred": None, "centred, reflecting": "reflect", "centred, with zeros": "constant"}
FORMS: dict[str, Callable[[Array], Array]] = {"magnitude": np.abs, "power": lambda z: np.abs(z) ** 2}
SCALES: dict[str, Callable[[int, Array], float]] = {
    "": lambda n, w: 1.0,
    " over sqrt(n)": lambda n, w: n**-0.5,
    " over n": lambda n, w: 1.0 / n,
    " over the window's sum": lambda n, w: 1.0 / float(w.sum()),
    " over the root of the window's sum of squares": lambda n, w: float((w**2).sum()) ** -0.5,
}


@dataclass(frozen=True)
class Framing:
    """Frames of ``n`` values every ``hop``; the spectra stand with ``last`` ("bins" or "frames") as their last axis."""

    n: int
    hop: int
    centre: str
    last: str

    def spectra(self, signal: Array, window: Array) -> Array:
        """``[batch, frames, bins]``, complex, of a signal ``[batch, time]``."""
        mode: Any = CENTRES[self.centre]
        half = self.n // 2
        padded = signal if mode is None else np.pad(signal, ((0, 0), (half, half)), mode=mode)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n, axis=1)[:, :: self.hop]
        return np.fft.rfft(frames * window, axis=-1)


def _spectra(name: str, x: Array, target: Target) -> Iterator[Form]:
    if x.ndim not in (2, 3) or x.ndim == 3 and x.shape[2] != 1 or target.shape[:1] != x.shape[:1]:
        return
    signal, core = x.reshape(len(x), -1), tuple(n for n in target.shape[1:] if n != 1)
    for framing in _framings(signal.shape[1], core):
        for window, periodic in _WINDOW_FORMS:
            yield from _of_window(name, framing, signal, window, periodic, target)


_WINDOW_FORMS = [(window, periodic) for window in WINDOWS for periodic in (True, False) if periodic or window != PLAIN]


def _of_window(
    name: str, framing: Framing, signal: Array, window: str, periodic: bool, target: Target
) -> Iterator[Form]:
    """The forms of one window: magnitude or power, by each scale."""
    make, call = WINDOWS[window]
    taps = make(framing.n, periodic)
    spectra = cache(partial(framing.spectra, signal, taps))

    def values(of: Callable[[Array], Array], factor: float) -> Array:
        z = of(spectra()) * factor
        return (z if framing.last == "bins" else z.swapaxes(1, 2)).reshape(target.shape)

    mode = CENTRES[framing.centre]
    kind, argument = ("", "") if window == PLAIN else (
        " (periodic)" if periodic else " (symmetric)", f", periodic={periodic}"
    )  # fmt: skip
    recipe = (
        f"torch.stft(x, {framing.n}, {framing.hop}, window={call}({framing.n}{argument}), center={mode is not None}"
    )
    recipe += f", pad_mode='{mode}')" if mode else ")"
    for (form, of), (scaled, factor) in product(FORMS.items(), SCALES.items()):
        yield Form(
            f"takes the {form}{scaled} of the spectra of {name}: frames of {framing.n} every {framing.hop}, "
            f"{framing.centre}, {window} window{kind}",
            recipe,
            partial(values, of, factor(framing.n, taps)),
            {"frames": (framing.n, framing.hop), "centre": framing.centre, "window": (window, periodic), "form": form,
             "scale": scaled, "order": framing.last},
            FIT_FLOAT32,  # windows are tables of float32
        )  # fmt: skip


def _framings(length: int, core: tuple[int, ...]) -> Iterator[Framing]:
    """The framings of a signal that give spectra of that shape, batch excluded."""
    if len(core) == 2:
        shapes = [(core[0], core[1], "bins"), (core[1], core[0], "frames")]
    elif len(core) == 1:
        lengths = (2**k for k in range(2, 13) if SMALLEST <= 2**k <= min(length, LARGEST))
        shapes = [
            (core[0] // (n // 2 + 1), n // 2 + 1, last)
            for n in lengths if core[0] % (n // 2 + 1) == 0 for last in ("bins", "frames")
        ]  # fmt: skip
    else:
        return
    for frames, bins, last in shapes:
        for n, (centre, mode) in product((2 * (bins - 1), 2 * bins - 1), CENTRES.items()):
            reach = length - n if mode is None else length - n % 2
            if n < 2 or reach < 0 or frames < 1:
                continue
            lowest, highest = reach // frames + 1, reach // (frames - 1) if frames > 1 else n
            usual = sorted(range(lowest, highest + 1), key=lambda hop: (n % hop != 0, hop))
            for hop in usual[:8]:
                yield Framing(n, hop, centre, last)


SPECTRA = Family(
    "spectra",
    unary(_spectra),
    {
        "frames": "stft-frames",
        "centre": "stft-centre",
        "window": "stft-window",
        "form": "stft-power",
        "scale": "scale-factor",
        "order": "axes-exchanged",
        "": "stft-window",
    },
)
