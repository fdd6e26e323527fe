"""Layout of a run's folder ``runs/0001-preset/``, and the class that writes it:

config.yaml     the whole configuration, which ``shared_impl.config.presets.load`` reads like a preset
run.json        preset, framework, machine, versions, date
metrics.jsonl   a line for each logged step
samples/        grids of samples, step-NNNNNNNN.png
previews/       of sound: clips of samples, step-NNNNNNNN.wav
checkpoints/    step-NNNNNNNN/, see :mod:`shared_impl.storage.checkpoints`
tensorboard/    the metrics, samples and previews as TensorBoard records
moments.npz     of sound: what its spectrograms are normalised with
profile/        trace.json, if steps were profiled
generated/      what the command ``generate`` writes

Beside the runs stand ``experiments.csv`` and ``experiments.md`` (:mod:`shared_impl.storage.experiments`).
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import soundfile
import yaml

from shared_impl import files
from shared_impl.config.differences import plain
from shared_impl.config.presets import ConfigError, load
from shared_impl.config.schema import Config
from shared_impl.data.audio import write_wav
from shared_impl.sampling import pictures
from shared_impl.storage import checkpoints, experiments, metrics_log
from shared_impl.storage.package_versions import package_versions

ABOUT, CONFIG, LOCK = "run.json", "config.yaml", ".lock"
SAMPLES, PREVIEWS, CHECKPOINTS, PROFILE = "samples", "previews", checkpoints.FOLDER, "profile"
NAME = re.compile(r"(\d{4,})-(.+)")
NUMBER, PRESET = "number", "preset"  # in run.json
REQUIRED = (PRESET, "framework", "started", "hardware", "changes")
MADE_AT = re.compile(r"step-(\d{8,})\.(png|wav)")

Array = np.ndarray
Status = Literal["running", "finished", "interrupted", "diverged", "failed"]


class RunError(ValueError):
    """A run folder that cannot be read or written, or that another process is writing to."""


class Run:
    """One run folder. After ``create``, or ``open(path).resume(step)``, it is written to until ``finish``.

    Whatever cannot be written raises RunError (CheckpointError for a checkpoint), naming the last good checkpoint.
    """

    def __init__(self, path: Path, config: Config, about: Mapping[str, Any]) -> None:
        self.path, self.config, self.about = path, config, dict(about)
        self.notes: list[str] = []  # what resuming changed that nobody asked for
        self._former_changes: str | None = None  # in the log until it is written next
        self._lock = ExitStack()
        self._metrics_log: metrics_log.MetricsLog | None = None

    @classmethod
    def create(cls, config: Config, preset: str | Path, framework: str, hardware: str | None = None) -> Self:
        """A new folder with the next free number, whoever else starts now; ConfigError if it cannot be written.

        ``hardware`` names the device; the processor without it.
        """
        folder = Path(config.runs.folder)
        name = re.sub(r"[^\w.-]+", "-", Path(preset).stem)
        about: dict[str, Any] = {
            PRESET: name,
            "framework": framework,
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "hardware": hardware or experiments.processor(),
            "versions": package_versions(framework),
            "changes": experiments.changes(config, preset),
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with files.locked(folder / experiments.LOCK):
                about[NUMBER] = next_number(folder)
                path = folder / _name(about)
                path.mkdir()
            with ExitStack() as undo:
                undo.callback(shutil.rmtree, path, ignore_errors=True)
                run = cls(path, config, about)
                run._take_lock()
                run._write_about()
                run._begin()
                undo.pop_all()
        except OSError as error:
            raise ConfigError(
                f"runs.folder={config.runs.folder}: cannot be written: {error.strerror or error}; "
                "set runs.folder to a folder where you may write"
            ) from error
        return run

    @classmethod
    def open(cls, path: Path) -> Self:
        """The run of a run folder or of a checkpoint in it, for reading.

        Raises RunError if ``path`` is neither, ConfigError if the configuration is damaged.
        """
        if (path / checkpoints.MANIFEST).is_file():
            path = path.resolve().parents[1]
        elif path.name in ("", ".."):
            path = path.resolve()
        about = read_about(path)
        if missing := [name for name in REQUIRED if not isinstance(about.get(name), str)]:
            raise RunError(f"{path / ABOUT}: damaged: it lacks {', '.join(missing)}")
        return cls(path, load(path / CONFIG), about)

    def resume(self, step: int, config: Config | None = None) -> Self:
        """Continue writing after ``step``, with ``config`` instead of the recorded one if it is given.

        What was written after that step is removed: metrics, pictures and TensorBoard records; later checkpoints are
        renamed, and what a kill left half written is deleted. A copied or renamed run gets a number of its own.
        Raises RunError if another process is writing here.
        """
        with self._writing():
            self._take_lock()
            if config is not None:
                self._change(config)
            for folder in (self.path, self.path / SAMPLES, self.path / PREVIEWS):
                for file in folder.iterdir():
                    later = (match := MADE_AT.fullmatch(file.name)) and int(match[1]) > step
                    if later or file.name.startswith(files.PARTIAL):
                        file.unlink()
            checkpoints.recover(self.checkpoints)
            checkpoints.set_aside(self.checkpoints, step)
            self._take_number()
            self._begin(step)
        return self

    @property
    def number(self) -> int:
        """Its number in the experiments log."""
        return number_of(self.path, self.about) or 0

    @property
    def framework(self) -> str:
        """The framework that it trains in."""
        return self.about["framework"]

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def seconds(self) -> float:
        """How long it has trained, over all its resumptions."""
        return self._open_metrics_log().seconds

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of ``step``."""
        with self._writing():
            self._open_metrics_log().log(step, metrics)

    def pictures(self, step: int, images: Array, rows: Sequence[str] = ()) -> Path:
        """Write a sample grid of images ``[N, H, W, C]``, floats in [-1, 1] or uint8; with ``rows`` a row each."""
        path = self.path / SAMPLES / f"step-{step:08d}.png"
        picture = pictures.labelled_grid(images, rows) if rows else pictures.grid(images)
        with self._writing():
            pictures.save_png(path, picture)
            self._open_metrics_log().picture(step, SAMPLES, picture)
        return path

    def preview(self, step: int, clips: Array, rate: int) -> Path:
        """Write one wav file of clips float32 ``[N, T]`` at ``rate`` Hz, with silence between them."""
        path = self.path / PREVIEWS / f"step-{step:08d}.wav"
        with self._writing():
            with files.replacing(path) as draft:
                write_wav(draft, clips, rate)
            self._open_metrics_log().sound(step, PREVIEWS, path)
        return path

    def checkpoint(
        self, step: int, arrays: Mapping[str, Array], manifest: Mapping[str, Any], value: float | None = None
    ) -> Path:
        """Save a training state (see ``checkpoints.save``), drop what ``runs.keep`` does not keep, update the log.

        ``manifest`` holds the stream position and what else a resumed run needs; ``value`` marks the best (lowest).
        """
        complete = {"config": self.config, "framework": self.framework, **manifest}
        with self._writing():
            self._open_metrics_log().sync()
            path = checkpoints.save(self.checkpoints, step, arrays, complete, value)
            checkpoints.prune(self.checkpoints, self.config.runs.keep)
        self._saved = step
        self._update("running")
        return path

    def finish(self, status: Status, note: str = "") -> None:
        """Record in the experiments log how the run ended and why, and close everything."""
        self._update(status, note)
        self._lock.close()
        self._metrics_log = None

    def _begin(self, after: int | None = None) -> None:
        for part in (SAMPLES, PREVIEWS, CHECKPOINTS):
            (self.path / part).mkdir(exist_ok=True)
        self._write_config()
        self._metrics_log = metrics_log.MetricsLog(self.path, self.config.runs.tensorboard, after)
        self._lock.callback(self._metrics_log.close)
        self._saved = after or 0
        try:
            self._record("running")
        except experiments.LogError as error:
            raise RunError(str(error)) from error

    def _change(self, config: Config) -> None:
        """Go on with another configuration; what it changes of the preset is recorded anew, if the preset is known."""
        self.config = config
        changes = experiments.changes(config, self.about[PRESET])
        if changes and changes != self.about["changes"]:
            self._former_changes, self.about["changes"] = self.about["changes"], changes
            self._write_about()

    def _take_number(self) -> None:
        """Another number, if there is none or a run beside this one has it: the one whose folder is named after it."""
        folder, own = self.path.absolute().parent, number_of(self.path, self.about)
        with files.locked(folder / experiments.LOCK):
            others = (other for other in run_folders(folder) if other.name != self.path.name)
            rivals = [other for other in others if own == number_of(other)]
            named_after_it = own is not None and self.path.name == _name({**self.about, NUMBER: own})
            if own is not None and (not rivals or named_after_it and experiments.belongs(folder, own, self.about)):
                return
            self.about[NUMBER] = next_number(folder)
            self._write_about()
        was = f"was number {own}, as {rivals[0]} is" if own else "had no number"
        self.notes.append(f"{self.path}: {was}; it is number {self.number} from now on")

    def _write_about(self) -> None:
        _write(self.path / ABOUT, json.dumps(self.about, indent=1, ensure_ascii=False))

    def _take_lock(self) -> None:
        try:
            self._lock.enter_context(files.locked(self.path / LOCK, wait=False))
        except BlockingIOError as error:
            raise RunError(f"{self.path}: another process is training here: wait for it or end it") from error

    def _open_metrics_log(self) -> metrics_log.MetricsLog:
        if self._metrics_log is None:
            raise RunError(f"{self.path}: open for reading only: resume it first")
        return self._metrics_log

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, soundfile.SoundFileError) as error:
            last = checkpoints.latest(self.checkpoints)
            rest = f"the last good checkpoint is {last}: resume from it" if last else "there is no checkpoint yet"
            reason = getattr(error, "strerror", None) or str(error)
            raise RunError(f"{self.path}: cannot be written: {reason}; {rest}") from error

    def _write_config(self) -> None:
        text = yaml.safe_dump(plain(self.config), sort_keys=False, allow_unicode=True)
        _write(self.path / CONFIG, f"# Run {self.path.name}, {self.framework}: every field as it was used.\n{text}")

    def _update(self, status: Status, note: str = "") -> None:
        """As ``_record``, but only warn if the log cannot be written: that must not end a training."""
        try:
            self._record(status, note)
        except (OSError, experiments.LogError) as error:
            warnings.warn(f"the experiments log is not up to date: {error}", stacklevel=3)

    def _record(self, status: Status, note: str = "") -> None:
        metrics = self._open_metrics_log()
        pictured = max((self.path / SAMPLES).glob("*.png"), default=None)
        samples = pictured.relative_to(self.path.parent).as_posix() if pictured else None
        row = experiments.row(self.number, self.about, self.config, metrics.last, metrics.seconds, samples)
        step = max(self._saved, metrics.last.get("step", 0))
        experiments.record(self.path.parent, row, f"{status} at step {step}", note, self._former_changes)
        self._former_changes = None


def read_about(path: Path) -> dict[str, Any]:
    """What ``run.json`` of a run's folder says; RunError if it cannot be read."""
    try:
        about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: no run folder: its {ABOUT} cannot be read: {error}") from error
    if not isinstance(about, dict):
        raise RunError(f"{path}: no run folder: its {ABOUT} holds {type(about).__name__}, expected an object")
    return about


def run_folders(folder: Path) -> list[Path]:
    """Every folder in ``folder`` that holds a run, whatever it is called."""
    return sorted(path.parent for path in folder.glob(f"*/{ABOUT}"))


def number_of(path: Path, about: Mapping[str, Any] | None = None) -> int | None:
    """A run's number: what its ``run.json`` records, or its folder's name in runs of former versions."""
    try:
        recorded = (read_about(path) if about is None else about).get(NUMBER)
    except RunError:
        recorded = None
    named = NAME.fullmatch(path.name)
    return recorded if isinstance(recorded, int) else int(named[1]) if named else None


def next_number(folder: Path) -> int:
    """The first number above those of all runs in ``folder`` and of all folders named after one."""
    named = (int(match[1]) for entry in folder.iterdir() if (match := NAME.fullmatch(entry.name)))
    return 1 + max((*named, *(number_of(path) or 0 for path in run_folders(folder))), default=0)


def _name(about: Mapping[str, Any]) -> str:
    return f"{about[NUMBER]:04d}-{about[PRESET]}"


def _write(path: Path, text: str) -> None:
    with files.replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
