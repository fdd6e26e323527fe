"""One run from its start, or its last checkpoint, to its end: what both implementations' training loops share."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from os.path import expanduser  # leaves ~nobody as it is
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from shared_impl.config.differences import FREE
from shared_impl.config.schema import Config
from shared_impl.config.training import total_steps
from shared_impl.data.moments import Moments, load, save
from shared_impl.data.source_moments import LogMagnitude, moment_settings, moments_for_run
from shared_impl.data.sources import open_source
from shared_impl.data.stream import Batch, Stream
from shared_impl.storage import checkpoints
from shared_impl.storage.checkpoint_contents import BEST, MEAN, STD
from shared_impl.storage.checkpoints import CheckpointError
from shared_impl.storage.find_run import checkpoint_in
from shared_impl.storage.next_commands import resume_command
from shared_impl.storage.run_folder import CHECKPOINTS, Run, RunError, Status
from shared_impl.training.best_value import BestValue
from shared_impl.training.interrupts import Interrupted, Interrupts
from shared_impl.training.replicas import Replicas, run_on_chief, validate_workers
from shared_impl.training.run_logger import RunLogger, SampledTrainer
from shared_impl.training.training_monitor import Diverged, TrainingMonitor

Array = np.ndarray
MOMENTS = "moments.npz"
STOPPING = "stopping after this step, then saving (Ctrl-C again: end at once and lose what is not saved)"
# What may be changed on going back to a chosen checkpoint, beside what any resumed run may change: ways out of a
# divergence, none of which changes an array of the training state.
REMEDIES = ("optimizer.lr", "optimizer.lr_d", "optimizer.lr_g", "optimizer.clip_norm", "loss.label_smoothing")
TrainerT = TypeVar("TrainerT", bound=SampledTrainer)
Result = TypeVar("Result")


class NothingToDo(RunError):
    """A run that is already as long as it should be: nothing has been changed."""


class Start(NamedTuple):
    """Where a run starts or continues, the same in all its processes."""

    done: int = 0
    state: dict[str, Array] | None = None
    stream: dict[str, Any] | None = None


class Session:
    """The stream, the steps still to do, and on the chief of all processes the run logger; a context.

    ``resume`` is the folder of a run to go on with, or of its checkpoint to go back to. ``steps`` is the length of the
    whole run, ``state`` the trainer's to go on from, None at the beginning. Entering raises ConfigError, DataError,
    CheckpointError, RunError or NothingToDo; ``record`` raises Diverged.
    """

    def __init__(
        self, config: Config, preset: str, framework: str, replicas: Replicas, resume: Path | None = None
    ) -> None:
        self.config, self.preset, self.framework, self.resume = config, preset, framework, resume
        self.logger: RunLogger | None = None
        self._replicas = replicas
        self._stack = ExitStack()
        self._waited = 0.0
        self._moments: Moments | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack, self._closed_if_it_fails():
            data, training, processes = self.config.data, self.config.training, self._replicas.processes
            self.source = open_source(data, self.config.model)
            self.stream = stack.enter_context(
                Stream(
                    self.source, training.batch_size, training.seed, workers=data.workers, prefetch=data.prefetch,
                    shard=(self._replicas.process, processes), balance=data.balance,
                )
            )  # fmt: skip
            data_identity = {**self.stream.identity(), **_features(self.config.loss.features)}
            validate_workers(self._replicas, self.framework, self.config, data_identity)
            self.steps = total_steps(training, len(self.stream.epoch_examples))
            self._monitor = TrainingMonitor(self.config)
            self._ended = ""
            self._interrupts = stack.enter_context(Interrupts(self._say_stopping))
            self._interrupts.at_once = processes == 1
            start = run_on_chief(self._replicas, self._begin)
            if start.stream is not None:
                self.stream.restore(start.stream)
            self.done, self.state, self._stopped = start.done, start.state, False
            if self.logger is not None:
                stack.enter_context(self.logger.progress)
                self.logger.note(*self.source.notes, *self.logger.run.notes)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        status = _status_after(kind)
        if kind is None:
            status = "finished" if self.done == self.steps or self._ended else "interrupted"
        if skipped := self.source.summary():
            self._note(skipped)
        self._stack.close()
        if self.logger is not None:
            self.logger.close(status, error or self._ended)
        if kind is None:
            path = run_on_chief(self._replicas, lambda: self.path)  # nobody leaves before everything is written
            if status == "interrupted":
                again = resume_command(self.framework, Path(str(path)))
                raise Interrupted(f"saved at step {self.done} of {self.steps}; go on with: {again}")

    @contextmanager
    def _closed_if_it_fails(self) -> Iterator[None]:
        """Within: an error leaves no run behind that is logged as running."""
        try:
            yield
        except BaseException as error:
            if self.logger is not None:
                self.logger.close(_status_after(type(error)), error)
            raise

    @property
    def path(self) -> Path | None:
        """The run's folder, where this process writes it."""
        return self.logger.path if self.logger else None

    def moments(self, log_magnitude: LogMagnitude) -> Moments | None:
        """The moments that spectrograms are normalised with: the run's own, a file's or the data's; None for images.

        ``log_magnitude`` takes waveforms ``[B, T]``, frame and hop to ``[B, frames, bins]``.
        """

        def found() -> Moments:
            assert self.path is not None
            own = self.path / MOMENTS
            if self.state is None:
                save(moments_for_run(self.source, self.config, log_magnitude), own)
            return load(own, moment_settings(self.source, self.config))

        if self.config.model.medium == "audio":
            self._moments = run_on_chief(self._replicas, found)
        return self._moments

    @property
    def batches(self) -> Iterator[Batch]:
        """The batches of the stream; the time spent waiting for them is counted."""
        while True:
            begin = time.perf_counter()
            batch = next(self.stream)
            self._waited += time.perf_counter() - begin
            yield batch

    def remaining(self) -> Iterator[int]:
        """The steps still to do, up to the last one or to a Ctrl-C in any process, after which the state is saved."""
        self._interrupts.at_once = False
        while self.done < self.steps and not self._stopped:
            yield self.done

    def record(
        self, step: int, metrics: Mapping[str, Any], trainer: TrainerT, state: Callable[[TrainerT], dict[str, Array]]
    ) -> None:
        """After ``step`` steps: log, sample and save at the intervals of ``runs``, and at the end."""
        runs = self.config.runs
        self.done = step
        if self.logger is not None:
            self.logger.progress.advance(step)
        self._stopped = self._replicas.any(self._interrupts.requested)
        last = step == self.steps or self._stopped
        scheduled = step % runs.checkpoint_every == 0
        saves = scheduled or last
        samples = step % runs.sample_every == 0 or last
        if step % runs.log_every == 0 or saves:
            self._log(step, self._replicas.mean(metrics))
        if samples or saves:
            trainer.settle()
        if samples and self.logger is not None:
            self.logger.log_samples(step, trainer)
        if saves:
            arrays = state(trainer)
            self._diverges(self._monitor.weights, step, arrays)
            if self.logger is not None:
                self.logger.save_checkpoint(step, arrays, self._moments, trainer, scheduled)
        if scheduled and runs.patience is not None:
            self._end_early(step)

    def _end_early(self, step: int) -> None:
        """Stop in all processes, if the chief finds that there was nothing better for too long."""
        reason = self._best.ended(step) if self.logger is not None else ""
        self._ended = self._replicas.from_chief(reason.encode()).decode() if self._replicas.processes > 1 else reason
        if self._ended:
            self._stopped = True
            if self.logger is not None:
                self.logger.note(self._ended)

    def _diverges(self, check: Callable[..., Result], *arguments: Any) -> Result:
        """What a check of the monitor returns; the way back is added to the message if it raises Diverged."""
        try:
            return check(*arguments)
        except Diverged as error:
            saved = checkpoints.latest(self.path / CHECKPOINTS) if self.path else None
            if self.path is None or saved is None:
                raise
            step, slower = checkpoints.read_manifest(saved)["step"], f"optimizer.lr={self.config.optimizer.lr / 2:g}"
            back = resume_command(self.framework, self.path, step, slower)
            raise Diverged(f"{error}: {back}") from error

    def _say_stopping(self, again: bool) -> None:
        """Called from a thread as a signal to stop arrives, whatever the framework is doing."""
        if self.logger is not None:
            self.logger.note(self._lost() if again or self._interrupts.at_once else STOPPING)

    def _lost(self) -> str:
        """What ending at once loses, and how to go on."""
        assert self.logger is not None
        saved = self.logger.saved
        if saved is None:
            return f"ending at once: nothing of {self.logger.path} is saved"
        lost = f"steps {saved + 1} to {self.done} are lost" if self.done > saved else "no whole step is lost"
        return f"ending at once: {lost}; go on with: {resume_command(self.framework, self.logger.path)}"

    def _note(self, sentence: str) -> None:
        """Print a sentence above the progress display, or on standard error from a process that has none."""
        if self.logger is not None:
            self.logger.note(sentence)
        else:
            print(f"worker {self._replicas.process}: {sentence}", file=sys.stderr)

    def _log(self, step: int, metrics: dict[str, float]) -> None:
        warnings = self._diverges(self._monitor.losses, step, metrics)
        waited, self._waited = self._waited, 0.0
        if self.logger is not None:
            self.logger.note(*warnings)
            self.logger.log(step, metrics, waited)

    def _begin(self) -> Start:
        """Create or reopen the run's folder and return where the run starts."""
        start, folder = Start(), self.resume
        if folder is None:
            run, self._best = Run.create(self.config, self.preset, self.framework), BestValue(self.config.runs)
        else:
            checkpoint = self._checkpoint(folder)
            self._best = BestValue(self.config.runs, checkpoint.manifest.get(BEST))
            self._validate_length(checkpoint)
            state = {name: array for name, array in checkpoint.arrays.items() if name not in (MEAN, STD)}
            start = Start(checkpoint.step, state, checkpoint.manifest["stream"])
            run = Run.open(folder).resume(start.done, self.config)
        more = (self.source, self.stream, self.steps, self._monitor, self._best, start.done)
        self.logger = RunLogger(self.config, run, *more)
        self.logger.saved = None if folder is None else start.done
        return start

    def _checkpoint(self, folder: Path) -> checkpoints.Checkpoint:
        """The checkpoint to go on from: the latest of a run's folder, or a chosen one, which frees the remedies."""
        path = checkpoint_in(folder)
        free = FREE if path != folder else (*FREE, *REMEDIES)
        return checkpoints.load(path, config=self.config, framework=self.framework, free=free)

    def _validate_length(self, checkpoint: checkpoints.Checkpoint) -> None:
        """NothingToDo if the run is past its end; CheckpointError if its schedule was planned for another."""
        run = checkpoint.path.parents[1]
        if checkpoint.step > self.steps:
            raise NothingToDo(
                f"{run}: already past step {self.steps}: it is at step {checkpoint.step}; nothing was changed. Train "
                f"on with a larger training.steps, or go back with --from STEP"
            )
        if ended := self._best.ended(checkpoint.step):
            raise NothingToDo(f"{run}: {ended}; nothing was changed. Train on with a larger runs.patience")
        self._validate_schedule(checkpoint)

    def _validate_schedule(self, checkpoint: checkpoints.Checkpoint) -> None:
        """CheckpointError if the run has another length and its learning rate depends on that."""
        planned, schedule = checkpoint.manifest["steps"], self.config.optimizer.schedule
        if planned != self.steps and schedule != "fixed":
            raise CheckpointError(
                f"{checkpoint.path}: optimizer.schedule={schedule} was planned for {planned} steps, got {self.steps}: "
                "a run that follows a schedule is resumed at its own length"
            )


def _status_after(kind: type[BaseException] | None) -> Status:
    """How a run has ended that an exception of this kind has left."""
    return "diverged" if kind is Diverged else "interrupted" if kind is KeyboardInterrupt else "failed"


def _features(path: str | None) -> dict[str, str]:
    """A digest of the file of features, which each worker may keep at a path of its own."""
    file = Path(expanduser(path or ""))
    return {"features": hashlib.sha256(file.read_bytes()).hexdigest()[:16]} if file.is_file() else {}
