"""What some steps of a run spend their time on, in torch; twin of tf_impl/profiling.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from torch.profiler import ProfilerActivity, profile, schedule, supported_activities

WARM = 3  # steps before: memory is found and kernels are chosen in them
TRACE = "trace.json"


class Profile:
    """Records ``steps`` steps after the first ones as ``trace.json`` in ``folder``, for Perfetto and TensorBoard.

    A context, in which :meth:`step` is called after each step; without steps or folder it does nothing.
    """

    def __init__(self, folder: Path | None, steps: int) -> None:
        self.folder, self.steps = folder, steps
        self._profile: Any = None

    def __enter__(self) -> Self:
        if self.steps and self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._profile = profile(
                activities=supported_activities() & {ProfilerActivity.CPU, ProfilerActivity.CUDA},
                schedule=schedule(wait=0, warmup=WARM, active=self.steps, repeat=1),
                on_trace_ready=self._write,
            )
            self._profile.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._profile is not None:
            self._profile.stop()

    def step(self) -> None:
        """A step has come to its end."""
        if self._profile is not None:
            self._profile.step()

    def _write(self, found: Any) -> None:
        assert self.folder is not None
        found.export_chrome_trace(str(self.folder / TRACE))
