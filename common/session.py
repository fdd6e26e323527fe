"""One run from its start, or its last checkpoint, to its end: what both houses' loops share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from common import checkpoints
from common.checkpoints import CheckpointError
from common.generation import MEAN, STD
from common.interrupts import Interrupted, Interrupts
from common.likeness import Likeness
from common.measuring import for_run, settings
from common.moments import Moments, load, save
from common.progress import Progress
from common.runs import CHECKPOINTS, Run, Status
from common.schema import MEDIA, Config, total_steps
from common.sources import open_source
from common.stream import Batch, Stream
from common.watch import Diverged, Watch

Array = np.ndarray
MOMENTS = "moments.npz"
REAL = 256  # real images that samples are held against


class Learner(Protocol):
    """What a session asks of a trainer."""

    def fixed_latents(self, count: int) -> Array:
        """Latents ``[count, nz]`` that stay the same all along the run."""

    def sample(self, z: Array) -> Array:
        """Images ``[B, H, W, C]`` in [-1, 1]."""

    def real(self, x: Array) -> Array:
        """A batch of the stream as images ``[B, H, W, C]`` in [-1, 1]."""

    def clips(self, images: Array) -> Array:
        """Waveforms ``[B, T]`` of spectrograms ``[B, H, W, 1]``."""


LearnerT = TypeVar("LearnerT", bound=Learner)


class Session:
    """The run's folder and stream, and all that is shown and kept on the way; a context.

    ``resume`` is the folder of a run to go on with. ``steps`` is the length of the whole run, ``checkpoint`` what to
    go on from. Entering raises ConfigError, DataError, CheckpointError or RunError; ``record`` raises Diverged.
    """

    def __init__(self, config: Config, preset: str, framework: str, resume: Path | None = None) -> None:
        self.config, self.preset, self.framework, self.resume = config, preset, framework, resume
        self.checkpoint: checkpoints.Checkpoint | None = None
        self._stack = ExitStack()
        self._waited, self._since = 0.0, time.perf_counter()
        self._moments: Moments | None = None
        self._likeness: Likeness | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self.resume is not None:
                self.checkpoint = _latest(self.resume, self.config, self.framework)
            data, training = self.config.data, self.config.training
            self.source = open_source(data, self.config.model)
            self.stream = stack.enter_context(
                Stream(self.source, training.batch_size, training.seed, workers=data.workers, prefetch=data.prefetch)
            )
            self.steps = total_steps(training, len(self.source))
            self.done, self._stopped = 0, False
            if self.checkpoint is None or self.resume is None:
                self.run = Run.create(self.config, self.preset, self.framework)
            else:
                self._refuse_another_schedule(self.checkpoint)
                self.stream.restore(self.checkpoint.manifest["stream"])
                self.done = self.checkpoint.step
                self.run = Run.open(self.resume).resume(self.done, self.config)
            self._interrupts = stack.enter_context(Interrupts())
            self._watch = Watch(self.config)
            shown = training.batch_size * training.d_updates  # real examples of a step
            self._progress = stack.enter_context(Progress(self.steps, self.run.path.name, images=shown))
            self._stack = stack.pop_all()
        for note in self.source.notes:
            self._progress.note(note)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if skipped := self.source.summary():
            self._progress.note(skipped)
        self._stack.close()
        status: Status = "diverged" if kind is Diverged else "failed"
        if kind is None:
            status = "finished" if self.done == self.steps else "interrupted"
        self.run.finish(status, str(error) if error else "")
        if status == "interrupted":
            raise Interrupted(f"saved at step {self.done} of {self.steps}; go on with: train {self.run.path} --resume")

    @property
    def state(self) -> dict[str, Array] | None:
        """The trainer's state to go on from, None at the beginning."""
        if self.checkpoint is None:
            return None
        return {name: array for name, array in self.checkpoint.arrays.items() if name not in (MEAN, STD)}

    def moments(self, log_magnitude: Callable[[Array], Any]) -> Moments | None:
        """What spectrograms are normalised with: the run's own, a file's or the data's moments; None for images.

        ``log_magnitude`` takes waveforms ``[B, T]`` to ``[B, frames, bins]``.
        """
        if MEDIA[self.config.model.system] == "audio":
            own = self.run.path / MOMENTS
            if self.checkpoint is None:
                save(for_run(self.source, self.config.data, log_magnitude), own)
            self._moments = load(own, settings(self.source, self.config.data))
        return self._moments

    @property
    def batches(self) -> Iterator[Batch]:
        """The stream, with the time spent waiting for it counted."""
        while True:
            begin = time.perf_counter()
            batch = next(self.stream)
            self._waited += time.perf_counter() - begin
            yield batch

    def remaining(self) -> Iterator[int]:
        """The steps still to do, until the last or a Ctrl-C, after which the state is saved."""
        while self.done < self.steps and not self._stopped:
            yield self.done

    def record(
        self, step: int, metrics: Mapping[str, Any], learner: LearnerT, state: Callable[[LearnerT], dict[str, Array]]
    ) -> None:
        """After ``step`` steps: log, show samples and save as often as ``runs`` says, and at the end."""
        runs = self.config.runs
        self.done = step
        self._stopped = self._interrupts.requested
        last = step == self.steps or self._stopped
        saves = step % runs.checkpoint_every == 0 or last
        if step % runs.log_every == 0 or saves:
            self._log(step, {name: float(value) for name, value in metrics.items()})
        if step % runs.sample_every == 0 or last:
            self._show(step, learner)
        if saves:
            arrays = state(learner)
            self._watch.weights(step, arrays)
            self.run.checkpoint(
                step,
                arrays | self._kept(),
                {"stream": self.stream.state(), "steps": self.steps},
                self._distance(learner),
            )

    def _refuse_another_schedule(self, checkpoint: checkpoints.Checkpoint) -> None:
        """A learning rate that follows a schedule depends on the length of the run."""
        planned, schedule = checkpoint.manifest["steps"], self.config.optimizer.schedule
        if planned != self.steps and schedule != "fixed":
            raise CheckpointError(
                f"{checkpoint.path}: optimizer.schedule={schedule} was planned for {planned} steps, got {self.steps}: "
                "a run that follows a schedule is resumed at its own length"
            )

    def _log(self, step: int, metrics: dict[str, float]) -> None:
        for warning in self._watch.losses(step, metrics):
            self._progress.note(warning)
        now = time.perf_counter()
        waiting, self._waited, self._since = self._waited / (now - self._since), 0.0, now
        self.run.log(step, {**metrics, "epoch": self.stream.state()["batches"] / self.stream.epoch_batches})
        self._progress.update(step, {**metrics, "waiting": waiting})

    def _show(self, step: int, learner: Learner) -> None:
        runs, audio = self.config.runs, MEDIA[self.config.model.system] == "audio"
        images = learner.sample(learner.fixed_latents(runs.samples))
        self.run.pictures(step, np.rot90(images, axes=(1, 2)) if audio else images)
        if audio:
            self.run.preview(step, learner.clips(images[: runs.previews]), self.config.data.sample_rate)
        for warning in self._watch.samples(step, images):
            self._progress.note(warning)

    def _distance(self, learner: Learner) -> float:
        """How far the samples are from real images: what marks the best checkpoint."""
        if self._likeness is None:
            numbers = np.linspace(0, len(self.source) - 1, min(REAL, len(self.source))).astype(int)
            real = np.stack([self.source[int(i)]["x"] for i in numbers])
            self._likeness = Likeness(learner.real(real))
        return self._likeness.distance(learner.sample(learner.fixed_latents(self.config.runs.samples)))

    def _kept(self) -> dict[str, Array]:
        """What generating needs besides the networks."""
        return {} if self._moments is None else {MEAN: self._moments.mean, STD: self._moments.std}


def _latest(folder: Path, config: Config, framework: str) -> checkpoints.Checkpoint:
    path = checkpoints.latest(folder / CHECKPOINTS)
    if path is None:
        raise CheckpointError(f"{folder}: has no checkpoint to resume from; train it anew")
    return checkpoints.load(path, config=config, framework=framework)
