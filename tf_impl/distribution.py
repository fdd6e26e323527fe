"""Many devices in TensorFlow, joined by tf.distribute: all of one process, or those of several; twin of
torch_impl/distribution.py.

Variables are mirrored: every device computes the same new value of them from the same averaged gradients.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial, wraps
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from shared_impl.config.presets import ConfigError
from shared_impl.config.schema import Config
from shared_impl.training.rendezvous import is_host_and_port, is_listening, wait_for_all_workers
from shared_impl.training.replicas import common_error, requested_devices, validate_even_split, worker_lost
from tf_impl.layers import average

_JOBS = ("chief", "worker")  # of TF_CONFIG that train, in the order of their numbers
_WORD = 8  # bytes of an integer
_GRACE = 3.0  # seconds that a worker stays after a failure, for the others to see that it is not the dead one


class Replicas:
    """The devices that train one network, of this process and of those that TF_CONFIG names; a context.

    One device until it is entered. Entering raises ConfigError if the devices cannot be joined as ``distribution``
    asks.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.asked = config, config.distribution
        self.workers, self.process, self.processes = [""], 0, 1
        self.strategy, self.local, self.size = tf.distribute.get_strategy(), 1, 1
        self.running = False  # whether a function is being run, or traced, on every device
        self._patience: _Patience | None = None

    def __enter__(self) -> Self:
        self.workers, self.process = _cluster()
        self.processes = len(self.workers)
        self._refuse_impossible()
        devices = self._devices()
        self.local = 1 if self.asked.strategy == "one" else len(devices)
        self.size = self.processes * self.local
        validate_even_split(self.config, self.size)
        if self.config.training.compile and self.size > 1:
            problem = "training.compile: XLA cannot average over several devices: use one, or training.compile=false"
            raise common_error(problem)
        if requested_devices(self.asked)[0] == "cpu":
            _use_processors(self.local, self.asked.devices)
        elif self.processes > 1 and devices[0].startswith("GPU"):
            tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[: self.local], "GPU")
        if self.processes > 1:
            self._meet()
        elif self.local > 1:
            self.strategy = tf.distribute.MirroredStrategy(devices)
        return self

    def __exit__(self, *_: object) -> None:
        if self._patience is not None:
            self._patience.end()

    @property
    def chief(self) -> bool:
        """Whether this process writes the run's folder."""
        return self.process == 0

    def scope(self) -> AbstractContextManager[Any]:
        """Within, variables are made for every device."""
        return self.strategy.scope()

    def rows(self, batch: Any) -> Any:
        """Each device's part ``[B / size, ...]`` of what was drawn for a whole batch ``[B, ...]``."""
        own = len(batch) // self.processes
        return self.parts(batch[self.process * own : (self.process + 1) * own])

    def parts(self, own: Any) -> Any:
        """Each device's part ``[B / size, ...]`` of this process's rows."""
        if self.local == 1:
            return own
        parts = tf.split(own, self.local)
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: parts[context.replica_id_in_sync_group % self.local]  # numbered over all workers
        )

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call it on every device, each with its own part of the arguments; what the first one here returns."""
        returned = self.run_each(function, *arguments)
        return tf.nest.map_structure(lambda value: self.strategy.experimental_local_results(value)[0], returned)

    def run_each(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call it on every device, each with its own part of the arguments; what each of them returns."""
        self._progress()
        self.running = True
        try:
            return self.strategy.run(function, arguments)
        finally:
            self.running = False

    @staticmethod
    def on_every_device(method: Callable[..., Any]) -> Callable[..., Any]:
        """A trainer's method as a graph that every device runs on its part of the arguments, compiled by XLA where
        that is configured. Called within another such method it is a part of that one.
        """

        @tf.function(autograph=False)
        def on_every_device(trainer: Any, *arguments: Any) -> Any:
            own: Callable[..., Any] = partial(method, trainer)
            if trainer.config.training.compile:
                own = tf.function(own, autograph=False, jit_compile=True)
            return trainer.replicas.run(own, *arguments)

        @wraps(method)
        def call(trainer: Any, *arguments: Any) -> Any:
            if trainer.replicas.running:
                return method(trainer, *arguments)
            return on_every_device.__get__(trainer, type(trainer))(*arguments)

        return call

    def average(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Values averaged over all devices, each of which calls this."""
        self._progress()
        return average(values) if self.size > 1 else list(values)

    def settle(self, *networks: keras.Model) -> None:
        """Average the running statistics, which each device keeps of its own examples, over all devices, each of which
        calls this.
        """
        statistics = [statistic for network in networks for statistic in network.non_trainable_variables]
        if self.size > 1 and statistics:
            means = self.average([tf.identity(statistic) for statistic in statistics])
            for statistic, mean in zip(statistics, means, strict=True):
                statistic.assign(mean)

    def synchronised(self, network: keras.Model) -> keras.Model:
        """The network with batch statistics of all devices' examples, changed in place."""
        if self.size > 1:
            for layer in network._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True
        return network

    def gather(self, own: bytes) -> list[bytes]:
        """What each process gives, in their order."""
        sizes = self._sum([len(own) * (i == self.process) for i in range(self.processes)])
        table = np.zeros((self.processes, -(-max(sizes) // _WORD)), np.int64)
        table[self.process] = _words(own, table.shape[1])
        return [row.tobytes()[:size] for row, size in zip(self._sum(table), sizes, strict=True)]

    def from_chief(self, content: bytes) -> bytes:
        """What the chief gives, whatever the others do."""
        size = int(self._sum([len(content) * self.chief])[0])
        words = -(-size // _WORD)
        return self._sum(_words(content, words) if self.chief else np.zeros(words, np.int64)).tobytes()[:size]

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        if self.processes == 1:
            return flag
        raised = bool(self._sum([int(flag)])[0])
        self._progress()
        return raised

    def mean(self, metrics: Mapping[str, Tensor]) -> dict[str, float]:
        """Metrics as numbers; each device has averaged them already."""
        return {name: float(value) for name, value in metrics.items()}

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Errors of the engine that come of another worker's death are told as that."""
        try:
            yield
        except tf.errors.OpError as error:
            if self.processes == 1:
                raise
            silent = [i for i, place in enumerate(self.workers) if i != self.process and not is_listening(place)]
            if not silent and not isinstance(error, (tf.errors.UnavailableError, tf.errors.DeadlineExceededError)):
                raise
            time.sleep(_GRACE)
            workers = [f"worker {i} of {self.processes} ({self.workers[i]})" for i in silent]
            raise worker_lost(workers, _reason(str(error))) from error

    def _progress(self) -> None:
        """A step has come to its end, or a part of its graph, which is built before the first."""
        if self._patience is not None:
            self._patience.renew()

    def _stuck(self) -> str:
        seconds = self.asked.timeout
        return f"no step has come to its end for {seconds:g} s: {', '.join(self._others())} or the network is stuck"

    def _others(self) -> list[str]:
        return [f"worker {i} ({place})" for i, place in enumerate(self.workers) if i != self.process]

    def _sum(self, own: Any) -> np.ndarray:
        """Integers added up over the processes."""
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(own, tf.int64), axis=None).numpy()

    def _devices(self) -> list[str]:
        """The devices of this process that the configuration asks for."""
        kind, count = requested_devices(self.asked)
        gpus = tf.config.list_physical_devices("GPU") if kind != "cpu" else []
        if kind == "cpu":
            return [f"CPU:{i}" for i in range(count or 1)]
        if kind == "gpu" and len(gpus) < (count or 1):
            raise ConfigError(
                f"distribution.devices={self.asked.devices}: got {len(gpus)} GPU(s) here, expected {count or 1}; "
                "use cpu:N to try N devices out"
            )
        return [f"GPU:{i}" for i in range(count or len(gpus))] or ["CPU:0"]

    def _refuse_impossible(self) -> None:
        strategy, (kind, count) = self.asked.strategy, requested_devices(self.asked)
        if strategy == "one" and self.processes > 1:
            raise common_error(f"distribution.strategy=one: but TF_CONFIG names {self.processes} workers")
        if strategy == "mirrored" and self.processes > 1:
            raise common_error(
                f"distribution.strategy=mirrored is for the devices of one process: but TF_CONFIG names "
                f"{self.processes} workers; use multi_worker or auto"
            )
        if strategy == "multi_worker" and self.processes == 1:
            raise common_error(
                "distribution.strategy=multi_worker: TF_CONFIG must name two workers or more, and which one this is: "
                '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'
            )
        if self.processes > 1 and kind == "cpu" and (count or 1) > 1:
            raise common_error(
                f"distribution.devices={self.asked.devices}: a worker of several has one processor; start {count} "
                "workers instead"
            )

    def _meet(self) -> None:
        wait_for_all_workers(self.workers, self.process, self.asked.timeout, "TF_CONFIG")
        self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        self._patience = _Patience(self.asked.timeout, self._stuck)
        self._patience.start()


def _cluster() -> tuple[list[str], int]:
    """The addresses of the workers that TF_CONFIG names, and which of them this one is."""
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return [""], 0
    try:
        content = json.loads(text)
        jobs = content.get("cluster", {})
        places = [(job, i, place) for job in _JOBS for i, place in enumerate(jobs.get(job, []))]
        task = content.get("task", {"type": places[0][0], "index": 0} if len(places) == 1 else {})
        numbers = [n for n, (job, i, _) in enumerate(places) if (job, i) == (task.get("type"), task.get("index"))]
        workers = [str(place) for _, _, place in places]
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"TF_CONFIG: cannot be read: {error}; got {text!r}") from error
    if not workers:
        return [""], 0
    if not numbers or not all(map(is_host_and_port, workers)):
        raise ConfigError(f"TF_CONFIG: got {text!r}, expected HOST:PORT for each worker and the task of this one")
    return workers, numbers[0]


def _use_processors(count: int, asked: str) -> None:
    """Divide the processor into so many logical devices, and leave GPUs alone."""
    processor = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_visible_devices([], "GPU")
        if len(tf.config.get_logical_device_configuration(processor) or [None]) != count:
            tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise ConfigError(f"distribution.devices={asked}: TensorFlow already runs on other devices") from error


def _words(content: bytes, count: int) -> np.ndarray:
    """Bytes as so many integers, the last ones zero."""
    return np.frombuffer(content.ljust(_WORD * count, b"\0"), np.int64)


class _Patience(threading.Thread):
    """Ends the process, with a word on the problem, where TensorFlow waits for others and nothing can interrupt it."""

    def __init__(self, seconds: float, problem: Callable[[], str]) -> None:
        super().__init__(daemon=True)
        self._seconds, self._problem = seconds, problem
        self._until = time.monotonic() + seconds
        self._over = threading.Event()

    def run(self) -> None:
        """Wait for the end of the run, or of the time."""
        while not self._over.wait(max(self._until - time.monotonic(), 0.1)):
            if time.monotonic() > self._until:
                print(f"tf_impl: {self._problem()}", file=sys.stderr, flush=True)
                os._exit(1)

    def renew(self) -> None:
        """There is progress: begin to wait anew."""
        self._until = time.monotonic() + self._seconds

    def end(self) -> None:
        """Wait for nothing any more."""
        self._over.set()


def _reason(told: str) -> str:
    """The line of TensorFlow's that says what happened."""
    lines = [line.strip() for line in told.splitlines() if "abort" in line or "Deadline" in line or "imed out" in line]
    return (lines or [told.strip().splitlines()[0]])[0]
