"""Freed memory is kept: large tensors take no new pages from the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shared_impl import allocation

FAULTS = """
import resource, sys, torch
from shared_impl.allocation import keep_freed_memory
if sys.argv[1:]:
    print(keep_freed_memory(), end=" ")
x = torch.ones(2**24)  # 64 MiB
for _ in range(20):  # until there is room for a tensor and what its alignment may take
    torch.relu(x)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    torch.relu(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(*arguments: str) -> list[str]:
    return subprocess.run(
        [sys.executable, "-c", FAULTS, *arguments], capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_a_tensor_takes_the_pages_of_the_one_before():
    (faults,) = map(int, run())
    kept, fewer = run("kept")
    pages = 4 * 2**26 // 4096
    assert kept == "True"
    assert int(fewer) < pages / 100 < pages / 2 < faults


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert allocation.keep_freed_memory() is False
