"""Judging ``specgan_spectrogram``: moments, spectrograms, Griffin-Lim and images of one or more sets of waveforms."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import torch

import tf_impl.spectrogram
import torch_impl.spectrogram
from parity.numerics.difference import difference
from parity.numerics.tolerance import ROUNDING_LIMIT
from parity.systems.golden.limits import LIMITS
from parity.systems.golden.not_judged import unknown_quantities
from parity.systems.golden.records import Record, UnknownOption
from parity.systems.golden.results import CLIPS, VALUES, GoldenResult, Measure, judge, not_judged, relative_rms
from parity.systems.golden.settings import SpectrogramSetting
from shared_impl.data.moments import Accumulator

Arrays = dict[str, np.ndarray]
IMAGE = 128
BINS, CLIP = 129, 16384  # of an STFT with frames of 256 samples; samples of a clip
# What is judged, each with its limit and how its distance is measured.
JUDGED: dict[str, tuple[float, Measure]] = {
    "mean": (LIMITS["moments"], VALUES),
    "std": (LIMITS["moments"], VALUES),
    "spectrogram": (LIMITS["spectrogram"], VALUES),
    "griffin_lim": (LIMITS["griffin-lim"], CLIPS),
    "image": (LIMITS["image"], VALUES),
}
QUANTITIES = ("waveform", *JUDGED)


def judge_record(record: Record) -> list[GoldenResult]:
    """Every quantity of every set."""
    sets, results = _sets(record)
    known = {f"{name}_{quantity}".removeprefix("_") for name in sets for quantity in QUANTITIES}
    results += unknown_quantities(record, "", record.keys, known)
    if not sets:
        results.append(not_judged((record.name, "", ""), "the archive holds no waveforms"))
    settings: dict[str, SpectrogramSetting] = {}
    for name in sets:
        try:
            settings[name] = record.setting(SpectrogramSetting, record.settings.get(name, {}), name)
        except UnknownOption as error:
            results.append(not_judged((record.name, name, ""), str(error)))
    arrays = {name: _arrays(record, name) for name in settings}
    for name, setting in settings.items():
        results += _judge_set(record, name, arrays[name], setting.griffin_lim_rounds)
    return results


def _sets(record: Record) -> tuple[list[str], list[GoldenResult]]:
    """The names of the sets, and results for settings that are none.

    A set is what the settings name, or what has a waveform; the unnamed set is also what has any other quantity,
    unless there are named ones only.
    """
    results = [
        not_judged((record.name, name, ""), f"not a setting: expected an object, got {type(options).__name__}")
        for name, options in record.settings.items()
        if not isinstance(options, dict) and not _has_arrays(record, name)
    ]
    left_out = {result.setting for result in results}
    with_waveform = [key.removesuffix("_waveform") for key in record.keys if key.endswith("_waveform")]
    unnamed = [""] * _has_arrays(record, "")
    named = [name for name in record.settings if name not in left_out]
    return list(dict.fromkeys([*unnamed, *with_waveform, *named])), results


def _has_arrays(record: Record, name: str) -> bool:
    return any(_key(name, quantity) in record.keys for quantity in QUANTITIES)


def _key(name: str, quantity: str) -> str:
    """The key of a set's array."""
    return f"{name}_{quantity}" if name else quantity


def _arrays(record: Record, name: str) -> Arrays:
    """A set's arrays by quantity; UnusableInput unless all are there and of the right shapes."""
    waveform = record.arrays.get(_key(name, "waveform"))
    clips = len(waveform) if waveform is not None and waveform.ndim else 0
    shapes = {
        "waveform": (clips, CLIP),
        "mean": (BINS,),
        "std": (BINS,),
        "spectrogram": (clips, IMAGE, IMAGE, 1),
        "griffin_lim": (clips, CLIP, 1),
    }
    record.expect({_key(name, quantity): shape for quantity, shape in shapes.items()})
    record.expect({_key(name, "image"): (clips, IMAGE, IMAGE, 1)}, kind="u")
    arrays = {quantity: record.arrays[_key(name, quantity)] for quantity in QUANTITIES}
    if not clips or not (arrays["std"] > 0).all():
        where = f"set {name!r}: " if name else ""
        raise record.unusable(".npz", f"{where}expected at least one waveform, and a positive std for every bin")
    return arrays


def _judge_set(record: Record, name: str, arrays: Arrays, rounds: int) -> list[GoldenResult]:
    computed, rounding = quantities(arrays, rounds)
    results: list[GoldenResult] = []
    for quantity, (limit, measure) in JUDGED.items():
        found = {framework: made[quantity] for framework, made in computed.items()}
        widened = max(limit, ROUNDING_LIMIT * rounding[quantity])
        results += judge((record.name, name, quantity), arrays[quantity], found, widened, measure)
    return results


def quantities(recorded: Arrays, rounds: int) -> tuple[dict[str, Arrays], dict[str, float]]:
    """By framework every judged quantity, each computed from recorded ones in float64 (the image in the recorded
    precision), and by quantity the distance of Keras's own float32 from its float64, measured as its limit is.

    The moments are those of ``waveform``; ``spectrogram`` is computed with the recorded moments, ``griffin_lim`` (of
    ``rounds`` iterations) and ``image`` from the recorded spectrogram. Layouts are the record's, NHWC.
    """
    double, single = (keras_quantities(recorded, rounds, dtype) for dtype in (np.float64, np.float32))
    rounding = {key: difference(single[key], double[key]).relative for key in double}
    rounding["griffin_lim"] = float(relative_rms(single["griffin_lim"], double["griffin_lim"]).max())
    return {"Keras": double, "torch": _torch_quantities(recorded, rounds)}, rounding


def keras_quantities(recorded: Arrays, rounds: int, dtype: type[np.floating]) -> Arrays:
    """The Keras implementation's part of :func:`quantities`, in that precision."""
    implementation = tf_impl.spectrogram
    waveforms, spectrograms = (tf.constant(recorded[key].astype(dtype)) for key in ("waveform", "spectrogram"))
    moments = recorded["mean"], recorded["std"]
    return {
        **_moments(implementation.log_magnitude(waveforms).numpy()),
        "spectrogram": implementation.spectrogram(waveforms, *moments).numpy(),
        "griffin_lim": implementation.waveform(spectrograms, *moments, iterations=rounds).numpy()[..., None],
        "image": implementation.image(recorded["spectrogram"]).numpy(),
    }


def _torch_quantities(recorded: Arrays, rounds: int) -> Arrays:
    implementation = torch_impl.spectrogram
    waveforms = torch.tensor(recorded["waveform"]).double()
    spectrograms = torch.tensor(recorded["spectrogram"]).movedim(-1, 1)
    moments = recorded["mean"], recorded["std"]
    return {
        **_moments(implementation.log_magnitude(waveforms).numpy()),
        "spectrogram": implementation.spectrogram(waveforms, *moments).movedim(1, -1).numpy(),
        "griffin_lim": implementation.waveform(spectrograms.double(), *moments, iterations=rounds).numpy()[..., None],
        "image": implementation.image(spectrograms).numpy(),
    }


def _moments(log_magnitudes: np.ndarray) -> Arrays:
    accumulator = Accumulator({})
    accumulator.add(log_magnitudes)
    found = accumulator.result()
    return {"mean": found.mean, "std": found.std}
