"""What some steps of a run spend their time on, in TensorFlow; twin of torch_impl/profiling.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

WARM = 3  # steps before: functions are traced in them
TRACE = "trace.json"


class Profile:
    """Records ``steps`` steps after the first ones as ``trace.json`` in ``folder``, for Perfetto and TensorBoard.

    A context, in which :meth:`step` is called after each step; without steps or folder it does nothing.
    """

    def __init__(self, folder: Path | None, steps: int) -> None:
        self.folder, self.steps = folder, steps
        self._done = 0
        self._recording = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def step(self) -> None:
        """A step has come to its end."""
        self._done += 1
        if self._done == WARM and self.steps and self.folder is not None:
            tf.profiler.experimental.start(str(self.folder))
            self._recording = True
        elif self._done == WARM + self.steps:
            self._stop()

    def _stop(self) -> None:
        if self._recording and self.folder is not None:
            self._recording = False
            tf.profiler.experimental.stop()
            for path in sorted(self.folder.glob("plugins/profile/*/*.xplane.pb")):
                content = {"traceEvents": list(_events(XSpace.FromString(path.read_bytes())))}
                (self.folder / TRACE).write_text(json.dumps(content), encoding="utf-8")


def _events(space: Any) -> Iterator[dict[str, Any]]:
    """The recorded operations in the format of Chrome's trace viewer, times in microseconds."""
    for process, plane in enumerate(space.planes):
        yield {"ph": "M", "pid": process, "name": "process_name", "args": {"name": plane.name}}
        for line in plane.lines:
            place = {"pid": process, "tid": line.id}
            yield {"ph": "M", **place, "name": "thread_name", "args": {"name": line.display_name or line.name}}
            for event in line.events:
                yield {
                    "ph": "X",
                    **place,
                    "name": plane.event_metadata[event.metadata_id].name,
                    "ts": line.timestamp_ns / 1e3 + event.offset_ps / 1e6,
                    "dur": event.duration_ps / 1e6,
                }
