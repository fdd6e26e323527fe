"""Many devices in TensorFlow, joined by tf.distribute: all of one process, or those of several; twin of
torch_impl/distribution.py.

Variables are mirrored: every device computes the same new value of them from the same averaged gradients.
"""

from __future__ import annotations

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
from shared_impl.training.rendezvous import is_listening, wait_for_all_workers
from shared_impl.training.replicas import common_error, requested_devices, validate_even_split, worker_lost
from tf_impl.layers import average
from tf_impl.placement import find_devices, find_workers, validate

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
        self._watchdog: _Watchdog | None = None

    def __enter__(self) -> Self:
        self.workers, self.process = find_workers()
        self.processes = len(self.workers)
        validate(self.asked, self.processes)
        devices = find_devices(self.asked)
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
            self._join_workers()
        elif self.local > 1:
            self.strategy = tf.distribute.MirroredStrategy(devices)
        return self

    def __exit__(self, *_: object) -> None:
        if self._watchdog is not None:
            self._watchdog.end()

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
        """Call the function on every device with its part of the arguments; the result of the first device here."""
        returned = self.run_each(function, *arguments)
        return tf.nest.map_structure(lambda value: self.strategy.experimental_local_results(value)[0], returned)

    def run_each(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function on every device with its part of the arguments; the results of all."""
        self._note_progress()
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
        self._note_progress()
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
        """The bytes of each process, in the order of their numbers."""
        sizes = self._sum([len(own) * (i == self.process) for i in range(self.processes)])
        table = np.zeros((self.processes, -(-max(sizes) // _WORD)), np.int64)
        table[self.process] = _words(own, table.shape[1])
        return [row.tobytes()[:size] for row, size in zip(self._sum(table), sizes, strict=True)]

    def from_chief(self, content: bytes) -> bytes:
        """The chief's bytes, for every process."""
        size = int(self._sum([len(content) * self.chief])[0])
        words = -(-size // _WORD)
        return self._sum(_words(content, words) if self.chief else np.zeros(words, np.int64)).tobytes()[:size]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.processes == 1:
            return flag
        raised = bool(self._sum([int(flag)])[0])
        self._note_progress()
        return raised

    def mean(self, metrics: Mapping[str, Tensor]) -> dict[str, float]:
        """Metrics as numbers; each device has averaged them already."""
        return {name: float(value) for name, value in metrics.items()}

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn errors of TensorFlow that another worker's death has caused into :class:`WorkerLost`, which names it."""
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

    def _note_progress(self) -> None:
        """Restart the watchdog: a step, or the tracing of a part of its graph, has come to its end."""
        if self._watchdog is not None:
            self._watchdog.renew()

    def _problem(self) -> str:
        seconds = self.asked.timeout
        others = ", ".join(self._other_workers())
        return f"no step has come to its end for {seconds:g} s: {others} or the network is stuck"

    def _other_workers(self) -> list[str]:
        return [f"worker {i} ({place})" for i, place in enumerate(self.workers) if i != self.process]

    def _sum(self, own: Any) -> np.ndarray:
        """Integers added up over the processes."""
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(own, tf.int64), axis=None).numpy()

    def _join_workers(self) -> None:
        wait_for_all_workers(self.workers, self.process, self.asked.timeout, "TF_CONFIG")
        self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        self._watchdog = _Watchdog(self.asked.timeout, self._problem)
        self._watchdog.start()


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
    """Bytes as ``count`` integers, padded with zeros."""
    return np.frombuffer(content.ljust(_WORD * count, b"\0"), np.int64)


class _Watchdog(threading.Thread):
    """Ends the process with a message if no step ends in time: TensorFlow cannot be interrupted while it waits."""

    def __init__(self, seconds: float, problem: Callable[[], str]) -> None:
        super().__init__(daemon=True)
        self._seconds, self._problem = seconds, problem
        self._deadline = time.monotonic() + seconds
        self._ended = threading.Event()

    def run(self) -> None:
        """Wait for the end of the run or of the time."""
        while not self._ended.wait(max(self._deadline - time.monotonic(), 0.1)):
            if time.monotonic() > self._deadline:
                print(f"tf_impl: {self._problem()}", file=sys.stderr, flush=True)
                os._exit(1)

    def renew(self) -> None:
        """Start the time anew."""
        self._deadline = time.monotonic() + self._seconds

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()


def _reason(message: str) -> str:
    """The line of TensorFlow's error message that names the cause."""
    telling = ("abort", "Deadline", "imed out")
    lines = [line.strip() for line in message.splitlines() if any(word in line for word in telling)]
    return (lines or [message.strip().splitlines()[0]])[0]
