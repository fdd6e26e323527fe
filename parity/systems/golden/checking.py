"""Judging a folder of golden records, record by record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from parity.numerics.difference import ROUNDING_LIMIT
from parity.systems.golden.networks import IMAGE, specgan_forward
from parity.systems.golden.records import RECORDS, Record, SpecGANSetting, read_folder
from parity.systems.golden.results import CLIPS, LIMITS, VALUES, GoldenResult, Measure, judge
from parity.systems.golden.spectrograms import specgan_spectrogram
from parity.systems.golden.training import judge_dcgan_training, judge_specgan_training

BINS, CLIP = 129, 16384  # of an STFT with frames of 256 samples; samples of a clip
SPECTROGRAM_LIMITS: dict[str, tuple[float, Measure]] = {
    "mean": (LIMITS["moments"], VALUES),
    "std": (LIMITS["moments"], VALUES),
    "spectrogram": (LIMITS["spectrogram"], VALUES),
    "griffin_lim": (LIMITS["griffin-lim"], CLIPS),
    "image": (LIMITS["image"], VALUES),
}


def check_folder(folder: Path) -> list[GoldenResult]:
    """Every record of the format: judged, or an abstaining result that says why not."""
    records = read_folder(folder)
    results: list[GoldenResult] = []
    for name in RECORDS:
        if name in records:
            results += JUDGES[name](records[name])
        else:
            results.append(GoldenResult(name, "", "", "", "abstain", message=f"{name}: not in {folder}"))
    return results


def judge_specgan_forward(record: Record) -> list[GoldenResult]:
    """Generator output, discriminator logits and moving averages of every setting."""
    settings = {name: record.setting(SpecGANSetting, options, name) for name, options in record.settings.items()}
    unknown = [key for key in record.arrays if key.split("/", 1)[0] not in settings]
    if unknown:
        raise record.unusable(".npz", f"{unknown[0]} belongs to no setting of {record.path.name}.json")
    results: list[GoldenResult] = []
    for name, setting in settings.items():
        record.expect({
            f"{name}/generator_output": (setting.batch, IMAGE, IMAGE, 1),
            f"{name}/discriminator_logits": (setting.batch,),
        })  # fmt: skip
        computed, rounding = specgan_forward(record, name, setting)
        recorded = {key.split("/", 1)[1] for key in record.arrays if key.startswith(f"{name}/")}
        unknown = sorted(recorded - computed["Keras"].keys())
        if unknown:
            raise record.unusable(".npz", f"{name}/{unknown[0]}: the network of these settings has no such quantity")
        moving = {key for key in computed["Keras"] if key.startswith("after/")}
        wanted = [key for key in computed["Keras"] if key in recorded or (key in moving and setting.train)]
        record.expect({f"{name}/{key}": computed["Keras"][key].shape for key in wanted})
        for key in wanted:
            forward = max(LIMITS["forward"], ROUNDING_LIMIT * rounding[key])
            limit = LIMITS["moving-average"] if key in moving else forward
            arrays = {framework: quantities[key] for framework, quantities in computed.items()}
            results += judge((record.path.name, name, key), record.arrays[f"{name}/{key}"], arrays, limit)
    return results


def judge_specgan_spectrogram(record: Record) -> list[GoldenResult]:
    """Moments, normalised spectrogram, the waveform that Griffin-Lim finds, and the image."""
    clips = len(waveform) if (waveform := record.arrays.get("waveform")) is not None and waveform.ndim else 0
    shapes = {"mean": (BINS,), "std": (BINS,), "spectrogram": (clips, IMAGE, IMAGE, 1), "griffin_lim": (clips, CLIP, 1)}
    record.expect({"waveform": (clips, CLIP), **shapes})
    record.expect({"image": (clips, IMAGE, IMAGE, 1)}, kind="u")
    unknown = sorted(record.arrays.keys() - {"waveform", *shapes, "image"})
    if unknown:
        raise record.unusable(".npz", f"{unknown[0]}: the record of spectrograms has no such quantity")
    if not clips or not (record.arrays["std"] > 0).all():
        raise record.unusable(".npz", "expected at least one waveform, and a positive std for every bin")
    computed, rounding = specgan_spectrogram(record.arrays)
    results: list[GoldenResult] = []
    for key, (limit, measure) in SPECTROGRAM_LIMITS.items():
        arrays = {framework: quantities[key] for framework, quantities in computed.items()}
        where = (record.path.name, "", key)
        results += judge(where, record.arrays[key], arrays, max(limit, ROUNDING_LIMIT * rounding[key]), measure)
    return results


JUDGES: dict[str, Callable[[Record], list[GoldenResult]]] = {
    "specgan_forward": judge_specgan_forward,
    "specgan_training": judge_specgan_training,
    "specgan_spectrogram": judge_specgan_spectrogram,
    "dcgan_training": judge_dcgan_training,
}
