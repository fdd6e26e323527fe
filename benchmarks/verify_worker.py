"""One pair in a process of its own, as JSON: ``python -m benchmarks.verify_worker NETWORK RUNGS`` verifies it,
``python -m benchmarks.verify_worker NETWORK`` only runs both networks once in each precision."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from typing import Any

import numpy as np

import parity
from benchmarks.verify_networks import NETWORKS
from parity.capture.keras_adapter import KerasAdapter
from parity.capture.torch_adapter import TorchAdapter

PRECISIONS = ("float64", "float32")


def verify(name: str, rungs: str) -> dict[str, Any]:
    """Seconds of ``parity.verify``, the process's peak memory before and after, and how often each network ran."""
    reference, port = NETWORKS[name]()
    runs = Counter[str]()
    for adapter in (KerasAdapter, TorchAdapter):
        for method in ("run", "attempt"):
            setattr(adapter, method, _counted(getattr(adapter, method), runs, adapter.framework))
    before, start = _peak(), time.perf_counter()
    verdict = parity.verify(reference, port, rungs=rungs)
    seconds = time.perf_counter() - start
    if not verdict.passed:
        raise SystemExit(f"{name} does not pass:\n{verdict.to_text()}")
    return {
        "seconds": seconds,
        "before": before,
        "peak": _peak(),
        "runs": dict(runs),
        "forward": verdict.rungs["forward"].message,
    }


def run(name: str) -> dict[str, Any]:
    """Seconds to run each network on one sample, by precision, weights converted before."""
    reference, port = NETWORKS[name]()
    image = np.random.default_rng(0).standard_normal((1, *reference.input_shape[1:]))
    seconds: dict[str, float] = {}
    for dtype in PRECISIONS:
        for side, x in ((KerasAdapter(reference), image), (TorchAdapter(port), np.moveaxis(image, -1, 1))):
            with side.precision(dtype):
                side.run([x], values=False)
                start = time.perf_counter()
                side.run([x], values=False)
                seconds[f"{side.framework} {dtype}"] = time.perf_counter() - start
    return {"seconds": seconds}


def _counted(method: Any, runs: Counter[str], framework: str) -> Any:
    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        runs[framework] += 1
        return method(self, *args, **kwargs)

    return counted


def _peak() -> float:
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    print(json.dumps(verify(*sys.argv[1:]) if len(sys.argv) > 2 else run(sys.argv[1])))
