"""Many devices in torch: a process each, started by torchrun, joined by DistributedDataParallel; twin of
tf_impl/distribution.py.

The process groups are NCCL's between GPUs and gloo's between processors; nothing else depends on which it is.
"""

from __future__ import annotations

import atexit
import gc
import os
import re
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from shared_impl.config.presets import ConfigError
from shared_impl.config.schema import Config
from shared_impl.training.rendezvous import is_host_and_port, missing_workers, reject_occupied_port, wait_for_chief
from shared_impl.training.replicas import WorkerLost, validate_even_split, worker_lost
from torch_impl.layers import SyncBatchNorm2d, batch_norm_like, replace_modules
from torch_impl.placement import find_devices, find_workers, validate

_INTERVAL = 1.0  # seconds between heartbeats
_MISSED_LIMIT = 4  # heartbeats after which a worker counts as gone


class Replicas:
    """The processes that train one network, one for each device; a context. This one alone unless torchrun (or who
    sets its environment variables) has started several, and until it is entered.

    Entering raises ConfigError if the processes cannot be joined as ``distribution`` asks. Collective operations raise
    RuntimeError, which :meth:`failures` turns into :class:`WorkerLost` where a worker has died.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.asked = config, config.distribution
        self.process, self.processes, self.size = 0, 1, 1
        self.device = find_devices(self.asked)[0]
        self._heartbeat: _Heartbeat | None = None

    def __enter__(self) -> Self:
        self.processes, self.process = find_workers()
        validate(self.asked, self.processes)
        self.size = self.processes
        validate_even_split(self.config, self.size)
        if self.size > 1:
            self._join_workers()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._heartbeat is not None:
            self._heartbeat.end()
            if kind is None or not issubclass(kind, RuntimeError):
                _leave()

    @property
    def chief(self) -> bool:
        """Whether this process writes the run's folder."""
        return self.process == 0

    def rows(self, batch: Any) -> Any:
        """This device's part ``[B / size, ...]`` of what was drawn for a whole batch ``[B, ...]``."""
        share = len(batch) // self.size
        return batch[self.process * share : (self.process + 1) * share]

    def synchronised(self, network: nn.Module) -> nn.Module:
        """The network with batch statistics of all devices' examples, changed in place."""
        return replace_modules(network, _synchronised) if self.size > 1 else network

    def joined(self, network: nn.Module) -> nn.Module:
        """The network as its own updates call it: with gradients averaged over all devices."""
        if self.size == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        with warnings.catch_warnings():
            # deprecated in torch 2.13, which advises to keep it until there is init_sync_buffers
            warnings.filterwarnings("ignore", ".*broadcast_buffers", FutureWarning)
            return DistributedDataParallel(
                network, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True
            )

    def averaged_gradients(self, network: nn.Module, now: bool) -> AbstractContextManager[Any]:
        """Within, a backward pass through a joined network averages gradients over all devices if ``now``; otherwise
        each device adds up its own.
        """
        whole = getattr(network, "_orig_mod", network)  # what torch.compile has wrapped
        return whole.no_sync() if isinstance(whole, DistributedDataParallel) and not now else nullcontext()

    def settle(self, *networks: nn.Module) -> None:
        """Average the running statistics, which each device keeps of its own examples, over all devices."""
        if self.size == 1:
            return
        for network in networks:
            for statistic in (buffer for buffer in network.buffers() if buffer.is_floating_point()):
                dist.all_reduce(statistic.div_(self.size))

    def gather(self, own: bytes) -> list[bytes]:
        """The bytes of each process, in the order of their numbers."""
        found: list[bytes] = [b""] * self.processes
        dist.all_gather_object(found, own)
        return found

    def from_chief(self, content: bytes) -> bytes:
        """The chief's bytes, for every process."""
        found = [content]
        dist.broadcast_object_list(found)
        return found[0]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; exchanged on the processors, so that no GPU has to be waited for."""
        if self.size == 1:
            return flag
        raised = torch.tensor(int(flag))
        dist.all_reduce(raised, dist.ReduceOp.MAX)
        return bool(raised)

    def mean(self, metrics: Mapping[str, Tensor]) -> dict[str, float]:
        """Metrics as numbers, averaged over all devices."""
        values = torch.stack([value.detach() for value in metrics.values()])
        if self.size > 1:
            dist.all_reduce(values.div_(self.size))
        return dict(zip(metrics, values.tolist(), strict=True))

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn errors of torch that another worker's death has caused into :class:`WorkerLost`, which names it."""
        try:
            yield
        except RuntimeError as error:
            silent = self._heartbeat.silent() if self._heartbeat else []
            if not silent and not isinstance(error, dist.DistError):
                raise
            workers = [f"worker {number} of {self.size}" for number in silent]
            if self.chief and silent:
                time.sleep(_MISSED_LIMIT * _INTERVAL)  # the others count in the store that this one may hold
            if not workers:
                raise WorkerLost(f"the processes cannot exchange data: {_reason(str(error))}") from error
            raise worker_lost(workers, _reason(str(error))) from error

    def _join_workers(self) -> None:
        seconds = self.asked.timeout
        timeout = timedelta(seconds=seconds)
        address = _rendezvous_address()
        if not self.chief:
            wait_for_chief(self.process, address, seconds, "MASTER_ADDR and MASTER_PORT")
        elif os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
            reject_occupied_port(0, address, "MASTER_PORT")
        backend = "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo"
        try:
            store, _, _ = next(dist.rendezvous("env://", timeout=timeout))
            dist.init_process_group(backend, store=store, rank=self.process, world_size=self.processes, timeout=timeout)
        except RuntimeError as error:
            came = re.search(r"(\d+)/\d+ clients joined", str(error))
            missing = f"{self.processes - int(came[1])} of the {self.processes}" if came else "the others"
            raise ConfigError(
                f"{missing_workers(self.process, missing, seconds)} ({str(error).strip().splitlines()[0]})"
            ) from error
        self._heartbeat = _Heartbeat(dist.PrefixStore("pulse", store.clone()), self.process, self.processes)
        self._heartbeat.start()


def _synchronised(norm: nn.Module) -> nn.Module | None:
    """A stock batch norm's synchronised version."""
    return batch_norm_like(norm, SyncBatchNorm2d) if type(norm) is nn.BatchNorm2d else None


class _Heartbeat(threading.Thread):
    """Counts heartbeats of every process in the store of their rendezvous."""

    def __init__(self, store: dist.Store, process: int, processes: int) -> None:
        super().__init__(daemon=True)
        self._store, self._own, self._processes = store, process, processes
        self._ended = threading.Event()

    def run(self) -> None:
        """Count heartbeats until the end of the run."""
        try:
            while not self._ended.wait(_INTERVAL):
                self._store.add(str(self._own), 1)
        except RuntimeError:
            return  # the store is gone, and with it the run

    def end(self) -> None:
        """Stop counting; a store that no longer answers is waited for during one interval."""
        self._ended.set()
        self.join(_INTERVAL)

    def silent(self) -> list[int]:
        """The processes whose heartbeats have stopped."""
        try:
            before = self._counts()
            time.sleep(_MISSED_LIMIT * _INTERVAL)
            now = self._counts()
        except RuntimeError:
            return [0]  # held the store
        return [i for i in range(self._processes) if i != self._own and now[i] == before[i]]

    def _counts(self) -> list[int]:
        return [self._store.add(str(number), 0) for number in range(self._processes)]


def _leave() -> None:
    """Destroy the process group, whose threads end with the process.

    Whoever lets go of gloo's part of it last joins its threads, and one of these may still be about to drop the tensors
    of the last operation, for which it needs the interpreter's lock. A joined network would keep that lock while it
    joins them, and wait without end (pytorch/pytorch#56297); the Python object of gloo's part gives it away meanwhile.
    So this object outlives all networks.
    """
    group = dist.group.WORLD
    assert group is not None
    atexit.register(_end_threads, [group._get_backend(torch.device("cpu"))])
    dist.destroy_process_group()


def _end_threads(last: list[object]) -> None:
    gc.collect()  # frees networks that refer to themselves
    last.clear()


def _reason(message: str) -> str:
    """The cause in torch's error message, without the place in its source and its advice."""
    return re.sub(r"^\[[^]]*\]\s*", "", message.strip().rpartition("\n")[2]).partition(". ")[0]


def _rendezvous_address() -> str:
    """Host and port of the rendezvous, from the variables that torchrun sets; ConfigError without them."""
    try:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    except KeyError as error:
        address = f"without {error}"
    if not is_host_and_port(address):
        raise ConfigError(
            "WORLD_SIZE names several processes: MASTER_ADDR must be the host of the first and MASTER_PORT a free port "
            f"of it, the same for all, got {address}; torchrun sets them"
        )
    return address
