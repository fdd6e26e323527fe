"""Generated images judged by a small classifier of the real ones. NumPy and scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from shared_impl.sampling.evaluation_report import Report, held_out, shares_text
from shared_impl.sampling.scores import frechet_distance, inception_score

Array = np.ndarray

CONFIDENCE = 0.9  # above which a sample counts as recognised
NEEDED = 0.8  # share of samples to be recognised

CELLS = 8  # the classifier is given an image as 8x8 means: the size of scikit-learn's digits
# The least log loss in five-fold cross-validation on scikit-learn's digits (0.051; 98.4 % right, 99.7 % where
# confident), of gamma in {0.1, 0.25, 0.5, 1, 2} and C in {3, 30, 100, 300, 1000}.
GAMMA, LANDMARKS, C = 0.5, 600, 300.0


class ImageClassifier:
    """A classifier of real images ``[N, H, W, C]`` uint8 and their labels ``[N]``, fitted on all but those held out.

    It is a logistic regression on Nystroem features of an RBF kernel (Williams and Seeger 2001). Fitted by likelihood,
    it is calibrated; and as its features vanish far from all real images, it does not recognise noise or shuffled
    digits, of which a linear model or a perceptron is sure half of the time.
    """

    def __init__(self, images: Array, labels: Array, names: list[str] | None = None, seed: int = 0) -> None:
        self.names = names or [str(label) for label in range(labels.max() + 1)]
        means, apart = cell_means(images), held_out(len(images), seed)
        landmarks = min(LANDMARKS, int(np.sum(~apart)))
        kernel = Nystroem(gamma=GAMMA, n_components=landmarks, random_state=seed)
        self._classifier = make_pipeline(kernel, LogisticRegression(C=C, max_iter=1000))
        self._classifier.fit(means[~apart], labels[~apart])
        predicted, confident = self.predict(means[apart])
        self.accuracy = float(np.mean(predicted == labels[apart]))
        self.confident = float(np.mean(confident))
        self._fitted_on = means[~apart]
        self._held_out_scores = self._scores(means[apart])

    def report(self, images: Array, requested: Array | None = None) -> Report:
        """Which share of ``images`` is recognised with a confidence above CONFIDENCE, and as what.

        ``requested``: the classes ``[N]`` that a conditional network was given. The scores are those of
        :mod:`shared_impl.sampling.scores` with this classifier, and on the means that it is given.
        """
        cells = cell_means(images)
        predicted, confident = self.predict(cells)
        counts = np.bincount(predicted[confident], minlength=len(self.names))
        shares = {name: float(count / max(1, confident.sum())) for name, count in zip(self.names, counts, strict=True)}
        figures: dict[str, Any] = {
            "samples": len(images),
            "confident": float(np.mean(confident)),
            "classes": shares,
            "smallest_class": min(shares.values()),
            "missing": [name for name, share in shares.items() if share == 0],
            **self._scores(cells),
            "held_out": {"confident": self.confident, "accuracy": self.accuracy, **self._held_out_scores},
        }
        if requested is not None:
            figures["asked"] = _recognised_as_requested((predicted == requested) & confident, requested, self.names)
        figures["recognisable"] = figures["confident"] >= NEEDED and not figures["missing"]
        return Report(figures, _text(figures))

    def predict(self, cells: Array) -> tuple[Array, Array]:
        """The class of each row of cell means ``[N, 64]``, and whether the classifier is confident; ``[N]`` each."""
        probabilities = self._classifier.predict_proba(cells)
        return self._classifier.classes_[probabilities.argmax(1)], probabilities.max(1) > CONFIDENCE

    def _scores(self, cells: Array) -> dict[str, float]:
        return {
            "classifier_score": inception_score(self._classifier.predict_proba(cells)),
            "frechet_distance_of_means": frechet_distance(self._fitted_on, cells),
        }


def cell_means(images: Array) -> Array:
    """Images ``[N, H, W, C]`` as means over channels and over a grid of CELLS by CELLS, in [0, 1]: ``[N, 64]``."""
    count, height, width, channels = images.shape
    if height % CELLS or width % CELLS:
        raise ValueError(f"images of {height}x{width} pixels do not divide into {CELLS}x{CELLS} equal cells")
    tiles = images.reshape(count, CELLS, height // CELLS, CELLS, width // CELLS, channels)
    return tiles.mean((2, 4, 5)).reshape(count, -1) / 255


def _recognised_as_requested(recognised: Array, requested: Array, names: list[str]) -> dict[str, Any]:
    """The share of samples that are recognised as the class requested, in all and of each class."""
    shares = {name: float(recognised[requested == n].mean()) for n, name in enumerate(names) if (requested == n).any()}
    return {"recognised": float(recognised.mean()), "classes": shares}


def _text(figures: Mapping[str, Any]) -> str:
    held = figures["held_out"]
    missing = ", ".join(figures["missing"])
    return "\n".join(
        [
            f"recognised with confidence above {CONFIDENCE}: {figures['confident']:.1%} of {figures['samples']}",
            f"(needed: {NEEDED:.0%}; held-out real ones: {held['confident']:.1%}, {held['accuracy']:.1%} of all right)",
            f"as {shares_text(figures['classes'])}",
            *_requested_text(figures),
            f"classifier score: {figures['classifier_score']:.2f} of {len(figures['classes'])} "
            f"(held-out real ones: {held['classifier_score']:.2f}); Inception Score's formula with this classifier",
            f"Fréchet distance to the real ones: {figures['frechet_distance_of_means']:.3f} (held-out real ones: "
            f"{held['frechet_distance_of_means']:.3f}); FID's formula on means of {CELLS}x{CELLS} cells",
            f"classes never found: {missing}" if missing else f"all {len(figures['classes'])} classes are found",
        ]
    )


def _requested_text(figures: Mapping[str, Any]) -> list[str]:
    if "asked" not in figures:
        return []
    requested = figures["asked"]
    return [f"recognised as the class asked for: {requested['recognised']:.1%}: {shares_text(requested['classes'])}"]
