"""TensorBoard's event files, written one record at a time: scalars, images, audio.

The writers of torch and tensorboardX load a whole framework and write in the background, so that a killed run loses
records that are older than its checkpoint; TensorBoard's own protocol buffers need neither.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared_impl.config.presets import ConfigError
from shared_impl.sampling.pictures import png

VERSION = "brain.Event:2"


class TensorBoardWriter:
    """Writes a new event file in ``folder``; every record has been passed to the kernel when a method returns.

    With ``purge_step`` TensorBoard drops what earlier files of the folder hold of that step and later ones. Raises
    ConfigError without the tensorboard package.
    """

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            raise ConfigError(
                "runs.tensorboard=true needs the tensorboard package: pip install tensorboard, or set "
                "runs.tensorboard=false"
            ) from error
        self._event, self._summary = event_pb2, summary_pb2
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads files in the order of their names: by second, host, and then as they were begun.
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{len(list(folder.iterdir())):06d}"
        self._file = (folder / name).open("xb", buffering=0)
        self._records = RecordWriter(self._file)
        self._write(file_version=VERSION)
        if purge_step is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(purge_step, session_log=start)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One point on the curve of each name."""
        self._add(step, *({"tag": tag, "simple_value": value} for tag, value in values.items()))

    def image(self, step: int, tag: str, picture: np.ndarray) -> None:
        """A uint8 picture ``[H, W, 1 or 3]``."""
        height, width, channels = picture.shape
        image = self._summary.Summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=png(picture)
        )
        self._add(step, {"tag": tag, "image": image})

    def audio(self, step: int, tag: str, wav: bytes, samples: int, rate: int) -> None:
        """A mono wav file of so many ``samples`` at ``rate`` Hz."""
        audio = self._summary.Summary.Audio(
            sample_rate=rate,
            num_channels=1,
            length_frames=samples,
            encoded_audio_string=wav,
            content_type="audio/wav",
        )
        self._add(step, {"tag": tag, "audio": audio})

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def _add(self, step: int, *values: Mapping[str, Any]) -> None:
        summary = self._summary.Summary
        self._write(step, summary=summary(value=[summary.Value(**value) for value in values]))

    def _write(self, step: int = 0, **content: Any) -> None:
        event = self._event.Event(wall_time=time.time(), step=step, **content)
        self._records.write(event.SerializeToString())
