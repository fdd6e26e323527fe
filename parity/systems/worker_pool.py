"""Pairs verified side by side, in processes of their own. Imports no framework.

Most of a verdict is the frameworks' Python, which one core does at a time.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from queue import Empty
from typing import TYPE_CHECKING, Any

from parity.systems import worker_processes
from parity.systems.distribution import device_runs
from parity.systems.training.training_pair import TrainingPair
from parity.verdict import UnusableInput
from shared_impl.storage.experiments import cores

if TYPE_CHECKING:
    from parity.systems.registry import AnyPair
    from parity.verdict import Verdict

EACH = 6  # pairs that are worth a process, which imports both frameworks first
MOST = 4  # processes, each of which may take 3 GB
HEARD = 0.1  # seconds between two looks at what the processes tell
Tell = Callable[[str], None]


def workers(pairs: int) -> int:
    """How many processes as many pairs are verified in."""
    return max(1, min(cores(), MOST, pairs // EACH))


def verify_all(
    pairs: Sequence[AnyPair], rungs: Sequence[str] | None, seed: int, begin: Callable[[str], Tell], jobs: int
) -> list[Verdict]:
    """Every pair's verdict on those of ``rungs`` (None: all) that it has, in their order.

    ``begin(name)`` is called when a pair's turn has come, and what it returns at each of its stages.
    """
    announce(pairs, rungs, seed)
    order = awaited_last(pairs)
    if jobs == 1:
        found = {pair: verified(pair, rungs, seed, begin(pair.name)) for pair in order}
        return [found[pair] for pair in pairs]
    with crew(min(jobs, len(pairs))) as (ask, hear):
        asked = {pair: ask(pair, rungs, seed) for pair in order}
        left, told = set(asked.values()), dict[str, Tell]()
        while left:
            done, left = wait(left, HEARD)
            for name, stage in hear():
                told[name] = told.get(name) or begin(name)
                told[name](stage)
            for future in done:
                future.result()
        return [asked[pair].result() for pair in pairs]


def announce(pairs: Iterable[AnyPair], rungs: Sequence[str] | None = None, seed: int = 0) -> None:
    """Begin in the background with the runs on many devices that these pairs will be judged by."""
    if rungs is None or "distribution" in rungs:
        awaited = (pair for pair in pairs if isinstance(pair, TrainingPair) and "distribution" in pair.rungs)
        device_runs.announce(pair.config(seed) for pair in awaited)


def awaited_last(pairs: Iterable[AnyPair]) -> list[AnyPair]:
    """Pairs that wait for runs on many devices after all others, which are climbed while those runs are made."""
    return sorted(pairs, key=lambda pair: "distribution" in pair.rungs)


def verified(pair: AnyPair, rungs: Sequence[str] | None, seed: int, tell: Tell) -> Verdict:
    """One pair's verdict, in this process."""
    own = None if rungs is None else [rung for rung in rungs if rung in pair.rungs]
    return pair.verify(rungs=own, seed=seed, progress=tell)


@contextmanager
def crew(jobs: int) -> Iterator[tuple[Callable[..., Future[Verdict]], Callable[[], list[tuple[str, str]]]]]:
    """Within: a function that has a pair verified, as :func:`verified` is called but for ``tell``, and one for what
    was told since: names of pairs and their stages. What is not done at the end is not waited for.

    Raises UnusableInput if a process ends before its work is done.
    """
    context, others = worker_processes.context(), set(multiprocessing.active_children())
    worker_processes.await_imports(context)
    said = context.Queue()
    with tempfile.TemporaryDirectory(prefix="parity-crew-") as folder:
        executor = ProcessPoolExecutor(jobs, context, _enlist, (jobs, device_runs.announced(), said, folder))
        try:
            with worker_processes.uninterrupted():
                executor.submit(int)  # starts all processes
            yield lambda pair, rungs=None, seed=0: executor.submit(_duty, pair, rungs, seed), partial(_heard, said)
        except BrokenProcessPool as error:
            raise UnusableInput(f"verifying pairs side by side: {error} For memory perhaps; try --jobs 1") from error
        finally:
            for process in set(multiprocessing.active_children()) - others:
                process.kill()
            executor.shutdown(cancel_futures=True)


def _heard(said: Any) -> list[tuple[str, str]]:
    found = []
    try:
        while True:
            found.append(said.get_nowait())
    except Empty:
        return found


_said: Any = None


def _enlist(jobs: int, known: list[Any], said: Any, folder: str) -> None:
    """What a process does first: quiet frameworks, its share of the cores, and an end when its parent ends."""
    global _said
    worker_processes.end_with_parent()
    tempfile.tempdir = folder
    from parity.systems import frameworks

    frameworks.load(threads=max(1, cores() // jobs))
    device_runs.join(known)
    _said = said


def _duty(pair: AnyPair, rungs: Sequence[str] | None, seed: int) -> Verdict:
    _said.put((pair.name, ""))
    return verified(pair, rungs, seed, lambda stage: _said.put((pair.name, stage)))
