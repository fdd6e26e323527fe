"""How good samples are, beside the real examples of their source: the entry point of both evaluations."""

from __future__ import annotations

import numpy as np

from shared_impl.data.source_interface import Source
from shared_impl.draws import Draws
from shared_impl.sampling.clip_evaluation import clips_report
from shared_impl.sampling.evaluation_report import Report, held_out
from shared_impl.sampling.image_evaluation import ImageClassifier

Array = np.ndarray


def evaluate(samples: Array, source: Source, seed: int = 0, requested: Array | None = None) -> Report:
    """Compare samples with the real examples of ``source``: images uint8 ``[N, H, W, C]`` or clips float ``[N, T]``.

    Real images need labels; ``requested`` are the classes ``[N]`` that a conditional network was given. Raises
    ValueError for samples that do not fit the source or hold NaN, and for images without labels.
    """
    examples = [source[index] for index in range(len(source))]
    real = np.stack([example["x"] for example in examples])
    labels = np.array([example["label"] for example in examples])
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
        return ImageClassifier(real, labels, source.labels, seed).report(samples, requested)
    apart = held_out(len(real), seed)
    noise = Draws(seed).normal("evaluation noise", (len(samples), real.shape[1]))
    names = [source.labels[label] if label >= 0 else "unlabelled" for label in labels[~apart]]
    return clips_report(samples, real[~apart], real[apart], noise, names)
