"""How the C library hands out memory: freed memory is kept for the next tensor instead of going back to the system."""

from __future__ import annotations

import ctypes
import sys

# glibc's malloc.h; both limits are ints.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
TRIM_ABOVE, MAP_ABOVE = 2**31 - 1, 2**30  # bytes


def keep_freed_memory() -> bool:
    """Keep what is freed, for the rest of the process; False where the C library is not glibc.

    By default a tensor above 32 MiB is mapped anew each time, and the system clears its pages one by one: a ReLU of 64
    MiB then takes seven times as long as its arithmetic. The process stays as large as it ever was.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, TRIM_ABOVE) and mallopt(M_MMAP_THRESHOLD, MAP_ABOVE))
