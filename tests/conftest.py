"""What all tests share: quiet frameworks, threads that fit the processes that xdist runs side by side, slow tests."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before any test imports TensorFlow: tests read what we print

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    share = str(max(1, len(os.sched_getaffinity(0)) // workers if hasattr(os, "sched_getaffinity") else 1))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(name, share)

# Whole folders and files that `pytest -m "not slow"` leaves out: training, conversions, processes. Single slow tests
# elsewhere carry the marker themselves.
SLOW = (
    "benchmarks",
    "packaging",
    "parity/systems",
    "parity/report/test_report_browser.py",
    "parity/test_arbitrary_pairs.py",
    "parity/test_library_pairs.py",
    "parity/test_own_weights.py",
    "implementations/test_attention.py",
    "implementations/test_distribution.py",
    "implementations/test_framing.py",
    "implementations/test_growing.py",
    "implementations/test_imitation.py",
    "implementations/test_instance_noise.py",
    "implementations/test_interrupts.py",
    "implementations/test_train.py",
)
FOLDER = Path(__file__).parent


@pytest.fixture(autouse=True)
def _ctrl_c_as_before() -> Iterator[None]:
    """A command that has ended ignores Ctrl-C; a test that calls one goes on."""
    before = signal.getsignal(signal.SIGINT)
    yield
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) != before:
        signal.signal(signal.SIGINT, before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of :data:`SLOW` folders and files as slow."""
    slow = [FOLDER / name for name in SLOW]
    for item in items:
        if any(item.path.is_relative_to(place) for place in slow):
            item.add_marker(pytest.mark.slow)
