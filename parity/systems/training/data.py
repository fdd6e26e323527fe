"""The rung data: equal batches, and equal images, spectrograms and sounds from them in both frameworks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parity.checks.climbing import Outcome
from parity.checks.messages import describe
from parity.numerics.difference import difference, scale
from parity.numerics.tolerance import FLOAT64_ROUNDOFF, PRECISION_RATIO, SLACK, float64_limit
from parity.systems.training.context import TrainingContext
from parity.verdict import Check, Finding
from shared_impl.config.schema import Config
from shared_impl.data.drums import HISS
from shared_impl.data.errors import DataError
from shared_impl.data.moments import Accumulator, Moments
from shared_impl.data.sources import open_source
from shared_impl.data.stream import Stream
from shared_impl.draws import Draws

Array = np.ndarray
BATCHES = 3
FLOAT32_ROUNDOFF = FLOAT64_ROUNDOFF / PRECISION_RATIO
INVERSES = ("original", "corrected")
ADVICE = {
    "batches": "let order and offsets be a function of the configuration, the seed and the position alone",
    "prepare": "x / 127.5 - 1 in the trainer's dtype; images are resized once, by the source, to uint8",
    "stft": "frame and hop of model.framing, periodic Hann window, zeros after the end, natural log of |X| + 1e-6",
    "moments": "population mean and deviation per bin, over all frames of all clips",
    "spectrogram": "drop the highest bin, subtract the mean, divide by three deviations, clip to [-1, 1]",
    "inverse": "16 iterations from zero phase; original: windowed overlap-add without correction for the window",
    "image": "uint8(clip((x + 1) * 128, 0, 255)), turned by 90 degrees",
}


def data(context: TrainingContext) -> Outcome:
    """Batches of the configured source, then everything that is computed from them before and after a network."""
    outcome = Outcome()
    try:
        batches = _batches(context.config, outcome)
    except DataError as error:
        outcome.checks.append(Check("data", "batches", context.config.data.source, "abstain", message=str(error)))
        outcome.message = f"the data cannot be read: {error}"
        return outcome
    x = np.concatenate([batch["x"] for batch in batches])
    if context.config.model.medium == "image":
        _prepared(context, batches[0]["x"], outcome)
        what = "their images in [-1, 1]"
    else:
        _sounds(context, _audible(x.astype(np.float64)), outcome)
        what = "STFT, moments, spectrograms, Griffin-Lim both ways, pictures"
    outcome.message = f"{BATCHES} batches of {context.config.data.source}, shown again and resumed; {what}"
    return outcome


def _batches(config: Config, outcome: Outcome) -> list[dict[str, Array]]:
    """The first batches, compared with those of a second stream and of one resumed from a saved position."""
    size, seed = config.training.batch_size, config.training.seed
    with (
        Stream(open_source(config.data, config.model), size, seed, balance=config.data.balance) as once,
        Stream(open_source(config.data, config.model), size, seed, balance=config.data.balance) as again,
        Stream(open_source(config.data, config.model), size, seed, balance=config.data.balance) as resumed,
    ):
        found = [next(once) for _ in range(BATCHES - 1)]
        position = once.state()
        found.append(next(once))
        second = [next(again) for _ in range(BATCHES)]
        resumed.restore(position)
        last = next(resumed)
    for what, pairs in (("shown again", zip(found, second, strict=True)), ("resumed", [(found[-1], last)])):
        same = all(np.array_equal(a[key], b[key]) for a, b in pairs for key in a)
        outcome.checks.append(Check("data", "batches", what, "pass" if same else "fail"))
        if not same:
            _report(outcome, "batches", f"batches of {config.data.source} are others when {what}", "batches")
    return found


def _prepared(context: TrainingContext, x: Array, outcome: Outcome) -> None:
    expected, got = (
        implementation.prepare(context.trainer(implementation), x)
        for implementation in (context.reference, context.port)
    )
    roundoff = FLOAT64_ROUNDOFF if context.exact else FLOAT32_ROUNDOFF
    _compare(outcome, "prepare", "images", expected, got, SLACK * roundoff * scale(expected))


def _audible(clips: Array) -> Array:
    """``clips`` with a faint hiss where they hold zeros: of a silence, Griffin-Lim's phases are those of rounding."""
    return np.where(clips == 0, HISS * Draws(0).normal("hiss", clips.shape), clips)


def _sounds(context: TrainingContext, clips: Array, outcome: Outcome) -> None:
    reference, port = context.reference, context.port
    frame, hop, _ = context.config.model.framing
    single = clips.astype(np.float32)
    ways = ((reference, clips), (port, clips), (reference, single))
    logs = [implementation.log_magnitude(some, frame, hop) for implementation, some in ways]
    _rounded(outcome, "stft", "log magnitudes", logs)
    measured = [_moments(values, context.config) for values in logs]
    for name in ("mean", "std"):
        _rounded(outcome, "moments", name, [getattr(found, name) for found in measured])
    moments, size = measured[0], context.config.training.batch_size
    made = [implementation.spectrogram(some[:size], moments, frame, hop) for implementation, some in ways]
    _rounded(outcome, "spectrogram", "images", made)
    if context.exact:
        assert context.moments is not None
        prepared = [
            implementation.prepare(context.trainer(implementation), clips[:size])
            for implementation in (reference, port)
        ]
        rounded = reference.spectrogram(single[:size], context.moments, frame, hop)
        _rounded(outcome, "spectrogram", "prepare", [*prepared, rounded])
    images = made[0]
    inputs = ((reference, images), (port, images), (reference, images.astype(np.float32)))
    for inverse in INVERSES:
        sounds = [implementation.waveform(some, moments, inverse, frame, hop) for implementation, some in inputs]
        _rounded(outcome, "inverse", inverse, sounds)
    expected, got = (implementation.image(images).astype(np.float64) for implementation in (reference, port))
    _compare(outcome, "image", "pictures", expected, got, 0.0)


def _moments(logs: Array, config: Config) -> Moments:
    accumulator = Accumulator({"source": config.data.source})
    for portion in np.array_split(logs, BATCHES):
        accumulator.add(portion)
    return accumulator.result()


def _rounded(outcome: Outcome, layer: str, what: str, values: Sequence[Array]) -> None:
    """The reference's and the port's values; the limit follows from the reference in float32
    (:mod:`parity.numerics.tolerance`).
    """
    expected, got, single = values
    limit = float64_limit(expected, single.astype(np.float64)) if single.shape == expected.shape else 0.0
    _compare(outcome, layer, what, expected, got, limit)


def _compare(outcome: Outcome, layer: str, what: str, expected: Array, got: Array, limit: float) -> None:
    if expected.shape != got.shape:
        message = f"{what}: got shape {list(got.shape)}, expected {list(expected.shape)}"
        outcome.checks.append(Check("data", layer, what, "fail", message=message))
        _report(outcome, layer, message, layer)
        return
    gap, largest = difference(got, expected, limit), scale(expected) or 1.0
    fine = gap.absolute <= limit
    message = "" if fine else f"{layer}: {what}: {describe(gap)}"
    outcome.checks.append(
        Check("data", layer, what, "pass" if fine else "fail", gap.relative, limit / largest, "relative", message)
    )
    if not fine:
        _report(outcome, layer, message, layer)


def _report(outcome: Outcome, layer: str, message: str, kind: str) -> None:
    if not any(finding.layer == layer for finding in outcome.findings):
        outcome.findings.append(Finding(kind, layer, layer, message, ADVICE[kind], "data"))
