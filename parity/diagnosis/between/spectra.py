"""Short-time spectra of a signal: frames, window, centring, magnitude or power, scale. Plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product

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


WINDOWS: dict[str, tuple[Callable[[int, bool], Array], str]] = {
    "Hann": (_cosines(0.5, 0.5), "torch.hann_window"),
    "Hamming": (_cosines(0.54, 0.46), "torch.hamming_window"),
    "Blackman": (_cosines(0.42, 0.5, 0.08), "torch.blackman_window"),
    "rectangular": (lambda length, periodic: np.ones(length), "torch.ones"),
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


def _spectra(name: str, x: Array, target: Target) -> Iterator[Form]:
    if x.ndim not in (2, 3) or x.ndim == 3 and x.shape[2] != 1 or target.shape[:1] != x.shape[:1]:
        return
    signal, core = x.reshape(len(x), -1), tuple(n for n in target.shape[1:] if n != 1)

    @cache
    def spectrum(n: int, hop: int, centre: str, window: str, periodic: bool) -> Array:
        mode = CENTRES[centre]
        padded = signal if mode is None else np.pad(signal, ((0, 0), (n // 2, n // 2)), mode=mode)  # type: ignore[call-overload]
        frames = np.lib.stride_tricks.sliding_window_view(padded, n, axis=1)[:, ::hop]
        return np.fft.rfft(frames * WINDOWS[window][0](n, periodic), axis=-1)

    for n, hop, centre, last in _framings(signal.shape[1], core):
        for (window, (values_of, call)), periodic in product(WINDOWS.items(), (True, False)):
            if window == "rectangular" and not periodic:
                continue
            for (form, of), (scaled, factor) in product(FORMS.items(), SCALES.items()):

                def values(
                    n=n, hop=hop, centre=centre, window=window, periodic=periodic, of=of, factor=factor, last=last,
                    values_of=values_of,
                ) -> Array:  # fmt: skip
                    z = of(spectrum(n, hop, centre, window, periodic)) * factor(n, values_of(n, periodic))
                    return (z if last == "bins" else z.swapaxes(1, 2)).reshape(target.shape)

                kind = "" if window == "rectangular" else " (periodic)" if periodic else " (symmetric)"
                argument = "" if window == "rectangular" else f", periodic={periodic}"
                yield Form(
                    f"takes the {form}{scaled} of the spectra of {name}: frames of {n} every {hop}, {centre}, "
                    f"{window} window{kind}",
                    f"torch.stft(x, {n}, {hop}, window={call}({n}{argument}), center={CENTRES[centre] is not None}"
                    + (f", pad_mode='{CENTRES[centre]}'" if CENTRES[centre] else "") + ")",
                    values,
                    {"frames": (n, hop), "centre": centre, "window": (window, periodic), "form": form,
                     "scale": scaled, "order": last},
                    FIT_FLOAT32,  # windows are tables of float32
                )  # fmt: skip


def _framings(length: int, core: tuple[int, ...]) -> Iterator[tuple[int, int, str, str]]:
    """``(frame length, hop, centring, last axis)`` that give a spectrum of that shape, batch excluded."""
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
                yield n, hop, centre, last


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
