"""What a run records: metrics, progress display, samples, checkpoints and its line in the experiments log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from shared_impl.config.schema import Config
from shared_impl.data.moments import Moments
from shared_impl.data.source_interface import Source
from shared_impl.data.stream import Stream
from shared_impl.sampling.generation import fixed_inputs
from shared_impl.sampling.sample_distance import SampleDistance
from shared_impl.storage.checkpoint_contents import BEST, CLASSES, MEAN, STD
from shared_impl.storage.metrics_log import IMAGES_TIME, STEP_RATE, TENSORBOARD, WAITING
from shared_impl.storage.next_commands import next_commands
from shared_impl.storage.run_folder import Run, Status
from shared_impl.training.best_value import BestValue
from shared_impl.training.growing import batches_before
from shared_impl.training.progress import Progress
from shared_impl.training.schedules import learning_rates
from shared_impl.training.training_monitor import TrainingMonitor

Array = np.ndarray
REAL = 256  # real images that samples are compared with


class SampledTrainer(Protocol):
    """What the run logger needs of an implementation's trainer."""

    def sample(self, z: Array, labels: Array = ...) -> Array:
        """Images ``[B, H, W, C]`` in [-1, 1] from latents ``[B, nz]`` and, if conditional, labels ``[B]``."""

    def real(self, x: Array) -> Array:
        """A batch of the stream as images ``[B, H, W, C]`` in [-1, 1]."""

    def clips(self, images: Array) -> Array:
        """Waveforms ``[B, T]`` of spectrograms ``[B, H, W, 1]``."""

    def settle(self) -> None:
        """Give every device the same running statistics; all processes call it together."""


class RunLogger:
    """Writes the records of one run, in one process: the only one, or the chief of several."""

    def __init__(
        self,
        config: Config,
        run: Run,
        source: Source,
        stream: Stream,
        steps: int,
        monitor: TrainingMonitor,
        best: BestValue,
        done: int = 0,
    ) -> None:
        self.config, self.run, self.steps = config, run, steps
        self._source, self._stream, self._monitor = source, stream, monitor
        self.progress = Progress(steps, run.path.name, images=self._images)
        self.saved: int | None = None
        self._best, self._metrics = best, dict[str, float]()
        self._since, self._logged = time.perf_counter(), done
        self._sample_distance: SampleDistance | None = None
        self._classes = source.labels if config.model.labels else []

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.run.path

    def log(self, step: int, metrics: Mapping[str, float], waited: float) -> None:
        """Log the metrics of a step; ``waited`` seconds since the last ones were spent waiting for data."""
        now = time.perf_counter()
        passed, self._since = now - self._since, now
        images, steps = self._images(step) - self._images(self._logged), step - self._logged
        self._metrics, self._logged = dict(metrics), step
        lr_d, lr_g = learning_rates(self.config.optimizer, step - 1, self.steps)
        best = {BEST: self._best.best.value} if self._best.best else {}
        epoch = self._stream.state()["batches"] / self._stream.epoch_batches
        pace = {STEP_RATE: steps / passed, IMAGES_TIME: passed / images * 1000, WAITING: 100 * waited / passed}
        self.run.log(step, {**metrics, "epoch": epoch, "lr_d": lr_d, "lr_g": lr_g, **best, **pace})
        self.progress.update(step, {**metrics, "waiting": waited / passed})

    def log_samples(self, step: int, trainer: SampledTrainer) -> None:
        """Write a grid of samples, and a preview of those that are sounds."""
        runs, audio = self.config.runs, self.config.model.medium == "audio"
        inputs = fixed_inputs(self.config, runs.samples)
        images = trainer.sample(*inputs)
        self.run.pictures(step, np.rot90(images, axes=(1, 2)) if audio else images, self._classes)
        if audio:
            self.run.preview(step, trainer.clips(images[: runs.previews]), self.config.data.sample_rate)
        self.note(*self._monitor.samples(step, images, *inputs[1:]))

    def save_checkpoint(
        self, step: int, arrays: Mapping[str, Array], moments: Moments | None, trainer: SampledTrainer, scheduled: bool
    ) -> None:
        """Write a checkpoint: the training state, and what generating needs besides the networks.

        Only those that are ``scheduled`` count for the best value, so that it does not depend on where a run was
        interrupted; that of the last step is ranked among them.
        """
        kept = {} if moments is None else {MEAN: moments.mean, STD: moments.std}
        value = self._best.value(self._metrics, self._distance(trainer)) if scheduled or step == self.steps else None
        if value is not None and scheduled:
            self._best.judge(step, value)
        about = {"stream": self._stream.state(), "steps": self.steps, BEST: self._best.recorded()}
        about |= {CLASSES: self._classes} if self._classes else {}
        self.run.checkpoint(step, {**arrays, **kept}, about, value)
        self.saved = step

    def note(self, *sentences: str) -> None:
        """Print sentences above the progress display."""
        for sentence in sentences:
            self.progress.note(sentence)

    def close(self, status: Status, reason: Any = None) -> None:
        """Close the run, with its final status in the experiments log; say what can be done with a finished one."""
        self.run.finish(status, str(reason or ""))
        if status == "finished":
            curves = self.path / TENSORBOARD if self.config.runs.tensorboard else None
            self.note(*next_commands(self.run.framework, self.path, self.steps, curves))

    def _images(self, steps: int) -> int:
        """How many real examples so many steps are given."""
        return batches_before(self.config, steps) * self.config.training.batch_size

    def _distance(self, trainer: SampledTrainer) -> float:
        """The distance of samples from real images, by which the best checkpoint is chosen."""
        if self._sample_distance is None:
            examples = self._stream.epoch_examples
            places = np.linspace(0, len(examples) - 1, min(REAL, len(examples))).astype(int)
            real = np.stack([self._source[examples(0, int(place))]["x"] for place in places])
            self._sample_distance = SampleDistance(trainer.real(real))
        return self._sample_distance.distance(trainer.sample(*fixed_inputs(self.config, self.config.runs.samples)))
