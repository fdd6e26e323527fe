"""Freed memory is kept: large tensors take no new pages from the system."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from shared_impl import memory_allocation

FAULTS = """
import ctypes, resource, torch
from shared_impl.memory_allocation import keep_freed_memory
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE (prctl(2)): huge pages would take fewer faults
x = torch.ones(2**24)  # 64 MiB

def faults():
    for _ in range(20):  # until there is room for a tensor and what its alignment may take
        torch.relu(x)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.relu(x)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), keep_freed_memory(), faults())
"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_a_tensor_takes_the_pages_of_the_one_before():
    done = subprocess.run([sys.executable, "-c", FAULTS], cwd=ROOT, capture_output=True, text=True, check=True)
    before, kept, after = done.stdout.split()
    pages = 4 * 2**26 // resource.getpagesize()
    assert kept == "True"
    assert int(after) < pages / 100 < pages / 2 < int(before)


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory_allocation.keep_freed_memory() is False
