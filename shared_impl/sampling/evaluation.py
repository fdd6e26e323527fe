"""How good samples are: images that a classifier of the real ones recognises, clips that lie near real ones.

Plain NumPy and scikit-learn; :func:`evaluate` takes what either framework has generated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from shared_impl.data.sources import Source
from shared_impl.draws import Draws
from shared_impl.sampling.scores import frechet_distance, inception_score

Array = np.ndarray

CONFIDENCE = 0.9  # above which a sample counts as recognised
NEEDED = 0.8  # share of samples to be recognised
HELD_OUT = 0.2  # share of the real examples kept apart as a yardstick

CELLS = 8  # the judge sees an image as 8x8 means: the size of scikit-learn's digits
# The least log loss in five-fold cross-validation on scikit-learn's digits (0.051; 98.4 % right, 99.7 % where
# confident), of gamma in {0.1, 0.25, 0.5, 1, 2} and C in {3, 30, 100, 300, 1000}.
GAMMA, LANDMARKS, C = 0.5, 600, 300.0

FRAME, HOP = 256, 128  # samples, as SpecGAN's spectrograms; of all systems, so that their figures compare
RANGE = 50.0  # dB below a clip's loudest point, where silence begins: 20 dB above the hiss of the synthesised drums


@dataclass(frozen=True)
class Report:
    """The ``figures`` (plain numbers and names, as for JSON) and the same as ``text``."""

    figures: dict[str, Any]
    text: str


class DigitsClassifier:
    """A classifier of real images ``[N, H, W, C]`` uint8 and their labels ``[N]``, fitted on all but those held out.

    It is a logistic regression on Nystroem features of an RBF kernel (Williams and Seeger 2001). Fitted by likelihood,
    it is as sure as it is right; and as its features vanish far from all real images, it does not recognise noise or
    shuffled digits, of which a linear model or a perceptron is sure half of the time.
    """

    def __init__(self, images: Array, labels: Array, names: list[str] | None = None, seed: int = 0) -> None:
        self.names = names or [str(label) for label in range(labels.max() + 1)]
        seen, apart = _cells(images), held_out(len(images), seed)
        landmarks = min(LANDMARKS, int(np.sum(~apart)))
        kernel = Nystroem(gamma=GAMMA, n_components=landmarks, random_state=seed)
        self._classifier = make_pipeline(kernel, LogisticRegression(C=C, max_iter=1000))
        self._classifier.fit(seen[~apart], labels[~apart])
        found, sure = self._recognise(seen[apart])
        self.accuracy = float(np.mean(found == labels[apart]))
        self.confident = float(np.mean(sure))
        self._seen = seen[~apart]
        self._scores = self._scored(seen[apart])

    def judge(self, images: Array, asked: Array | None = None) -> Report:
        """Which share of ``images`` is recognised with a confidence above CONFIDENCE, and as what.

        ``asked``: the classes ``[N]`` that their network was told to make, if it was. The scores are those of
        :mod:`shared_impl.sampling.scores` by this classifier, and on the means that it sees.
        """
        cells = _cells(images)
        found, sure = self._recognise(cells)
        counts = np.bincount(found[sure], minlength=len(self.names))
        shares = {name: float(count / max(1, sure.sum())) for name, count in zip(self.names, counts, strict=True)}
        figures: dict[str, Any] = {
            "samples": len(images),
            "confident": float(np.mean(sure)),
            "classes": shares,
            "smallest_class": min(shares.values()),
            "missing": [name for name, share in shares.items() if share == 0],
            **self._scored(cells),
            "held_out": {"confident": self.confident, "accuracy": self.accuracy, **self._scores},
        }
        if asked is not None:
            figures["asked"] = _granted((found == asked) & sure, asked, self.names)
        figures["recognisable"] = figures["confident"] >= NEEDED and not figures["missing"]
        return Report(figures, _told_of_images(figures))

    def _scored(self, cells: Array) -> dict[str, float]:
        return {
            "classifier_score": inception_score(self._classifier.predict_proba(cells)),
            "frechet_distance_of_means": frechet_distance(self._seen, cells),
        }

    def _recognise(self, cells: Array) -> tuple[Array, Array]:
        chances = self._classifier.predict_proba(cells)
        return self._classifier.classes_[chances.argmax(1)], chances.max(1) > CONFIDENCE


def evaluate(samples: Array, source: Source, seed: int = 0, asked: Array | None = None) -> Report:
    """Samples beside the real examples of ``source``: images uint8 ``[N, H, W, C]`` or clips float ``[N, T]``.

    Images need labels to be judged by; ``asked`` are the classes ``[N]`` that their network was told. Raises ValueError
    for samples that do not fit the source, and without labels.
    """
    examples = [source[index] for index in range(len(source))]
    real, labels = (
        np.stack([example["x"] for example in examples]),
        np.array([example["label"] for example in examples]),
    )
    if samples.dtype.kind != real.dtype.kind or samples.shape[1:] != real.shape[1:] or not len(samples):
        raise ValueError(
            f"samples are {samples.dtype} {list(samples.shape)}, but {source.name} holds {real.dtype} "
            f"[N, {', '.join(map(str, real.shape[1:]))}]: evaluate what was trained on it"
        )
    if broken := int(np.isnan(samples.reshape(len(samples), -1)).any(1).sum()):
        raise ValueError(f"{broken} of {len(samples)} samples hold NaN: the network that made them is lost")
    if source.kind == "image":
        if not source.labels or labels.min() < 0:
            raise ValueError(f"{source.name}: images are judged by their classes, but not all of them have one")
        if len(np.unique(labels)) < 2:
            raise ValueError(f"{source.name}: images are judged by their classes, but all of them have the same one")
        return DigitsClassifier(real, labels, source.labels, seed).judge(samples, asked)
    apart = held_out(len(real), seed)
    noise = Draws(seed).normal("evaluation noise", (len(samples), real.shape[1]))
    names = [source.labels[label] if label >= 0 else "unlabelled" for label in labels[~apart]]
    return drums_report(samples, real[~apart], real[apart], noise, names)


def drums_report(
    generated: Array, real: Array, held_out: Array, noise: Array, names: list[str] | None = None
) -> Report:
    """How far clips ``[N, T]`` are from the nearest real ones, beside real ones held out and noise, in dB (medians).

    ``names`` are the classes of ``real``. ``closeness`` is 0 at the distance of noise and 1 at that of held-out clips;
    ``apart`` is the distance between a generated clip and the nearest other one, small if all sound alike.
    """
    groups = {"generated": generated, "held_out": held_out, "noise": noise}
    nearest = {name: nearest_distances(clips, real) for name, clips in groups.items()}
    medians = {name: float(np.median(distances)) for name, (distances, _) in nearest.items()}
    found = [names[index] for index in nearest["generated"][1]] if names else []
    figures = {
        "samples": len(generated),
        "distance_db": medians,
        "closeness": (medians["noise"] - medians["generated"]) / (medians["noise"] - medians["held_out"]),
        "apart_db": {name: _apart(groups[name][: len(generated)]) for name in ("generated", "held_out")},
        "classes": {name: found.count(name) / len(generated) for name in dict.fromkeys(names or [])},
    }
    return Report(figures, _told_of_clips(figures))


def nearest_distances(clips: Array, real: Array) -> tuple[Array, Array]:
    """For each clip, its log-spectral distance in dB to the nearest of ``real``, and which that is; ``[N]`` each."""
    distances = log_spectral_distance(clips, real)
    return distances.min(1), distances.argmin(1)


def log_spectral_distance(a: Array, b: Array) -> Array:
    """Distances in dB ``[N, M]`` between clips ``[N, T]`` and ``[M, T]``, in any unit of pressure.

    For each frame the root mean square over bins of the difference of log magnitudes (Gray and Markel 1976,
    doi:10.1109/TASSP.1976.1162849), averaged over frames. Levels are relative to the loudest point of each clip; what
    lies RANGE below it is silence, and bins and frames that are silent in both clips do not count: a drum leaves most
    of its spectrogram empty, and silence would be near to it.
    """
    left, right = _levels(a) + RANGE, _levels(b) + RANGE  # [frames, N, bins], [frames, M, bins], 0 where silent
    total, frames = np.zeros((2, len(a), len(b)))
    for x, y in zip(left, right, strict=True):
        squares = (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)
        heard, also = (x > 0).astype(float), (y > 0).astype(float)
        bins = heard.sum(1)[:, None] - heard @ also.T + also.sum(1)  # that sound in either clip
        total += np.sqrt(np.maximum(squares, 0) / np.maximum(bins, 1))
        frames += bins > 0
    return total / np.maximum(frames, 1)


def held_out(count: int, seed: int = 0) -> Array:
    """Which of ``count`` examples are kept apart, bool ``[count]``: about HELD_OUT of them, always the same."""
    return Draws(seed).uniform("held out", (count,)) < HELD_OUT


def _granted(granted: Array, asked: Array, names: list[str]) -> dict[str, Any]:
    """The share of samples that are what was asked for, in all and of each class that was."""
    shares = {name: float(granted[asked == n].mean()) for n, name in enumerate(names) if (asked == n).any()}
    return {"recognised": float(granted.mean()), "classes": shares}


def _cells(images: Array) -> Array:
    """Images ``[N, H, W, C]`` as means over channels and over a grid of CELLS by CELLS, in [0, 1]: ``[N, 64]``."""
    count, height, width, channels = images.shape
    if height % CELLS or width % CELLS:
        raise ValueError(f"images of {height}x{width} pixels do not divide into {CELLS}x{CELLS} equal cells")
    tiles = images.reshape(count, CELLS, height // CELLS, CELLS, width // CELLS, channels)
    return tiles.mean((2, 4, 5)).reshape(count, -1) / 255


def _levels(clips: Array) -> Array:
    """Magnitudes ``[frames, N, bins]`` in dB below the loudest of each clip, RANGE at most; silence is all -RANGE."""
    frames = sliding_window_view(np.pad(clips.astype(np.float64), ((0, 0), (0, FRAME - HOP))), FRAME, axis=1)[:, ::HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    magnitudes = np.abs(np.fft.rfft(frames * window))  # [N, frames, bins]
    loudest = np.maximum(magnitudes.max((1, 2), keepdims=True), np.finfo(np.float64).tiny)
    return 20 * np.log10(np.maximum(magnitudes / loudest, 10 ** (-RANGE / 20))).transpose(1, 0, 2)


def _apart(clips: Array) -> float:
    """The median distance of a clip to the nearest other one; 0 if there is only one."""
    if len(clips) < 2:
        return 0.0
    distances = log_spectral_distance(clips, clips)
    np.fill_diagonal(distances, np.inf)
    return float(np.median(distances.min(1)))


def _told_of_images(figures: Mapping[str, Any]) -> str:
    held = figures["held_out"]
    missing = ", ".join(figures["missing"])
    return "\n".join(
        [
            f"recognised with confidence above {CONFIDENCE}: {figures['confident']:.1%} of {figures['samples']}",
            f"(needed: {NEEDED:.0%}; held-out real ones: {held['confident']:.1%}, {held['accuracy']:.1%} of all right)",
            f"as {_listed(figures['classes'])}",
            *_told_of_classes(figures),
            f"classifier score: {figures['classifier_score']:.2f} of {len(figures['classes'])} "
            f"(held-out real ones: {held['classifier_score']:.2f}); Inception Score's formula with this classifier",
            f"Fréchet distance to the real ones: {figures['frechet_distance_of_means']:.3f} (held-out real ones: "
            f"{held['frechet_distance_of_means']:.3f}); FID's formula on means of {CELLS}x{CELLS} cells",
            f"classes never found: {missing}" if missing else f"all {len(figures['classes'])} classes are found",
        ]
    )


def _told_of_classes(figures: Mapping[str, Any]) -> list[str]:
    if "asked" not in figures:
        return []
    asked = figures["asked"]
    return [f"recognised as the class asked for: {asked['recognised']:.1%}: {_listed(asked['classes'])}"]


def _listed(shares: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {share:.1%}" for name, share in shares.items())


def _told_of_clips(figures: Mapping[str, Any]) -> str:
    distance, apart = figures["distance_db"], figures["apart_db"]
    lines = [
        f"log-spectral distance to the nearest real clip, median of {figures['samples']}: "
        f"{distance['generated']:.1f} dB (held-out real clips {distance['held_out']:.1f} dB, "
        f"noise {distance['noise']:.1f} dB; closeness {figures['closeness']:.2f})",
        f"to the nearest other sample: {apart['generated']:.1f} dB (held-out real clips {apart['held_out']:.1f} dB)",
    ]
    if figures["classes"]:
        lines.append(f"nearest to {_listed(figures['classes'])}")
    return "\n".join(lines)
