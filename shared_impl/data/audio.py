"""Sound files: decoding, cutting into slices, writing.

The rules are those of loader.py of github.com/chrisdonahue/wavegan (commit 40e85e8): mono by averaging, the peak of
each file at 1, slices of 16384 samples unless a system's framing asks for others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Self

import numpy as np
import soundfile
import soxr

from shared_impl.config.data import DataConfig
from shared_impl.config.presets import ConfigError
from shared_impl.data.errors import BrokenFile, DataError

SLICE = 16384  # samples of one example of SpecGAN: 128 frames of 128
GAP = 8192  # zero samples between the clips of one file (train_specgan.py, preview)
SLACK = 0.1  # s that a file may be shorter than its header says: AAC and MP3 headers count packets of up to 72 ms
CACHE = 2**30  # bytes of decoded files kept by all workers together: 4.7 hours at 16 kHz

NATIVE = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".w64")
FOREIGN = (
    ".m4a",
    ".mp4",
    ".aac",
    ".wma",
    ".webm",
    ".mka",
    ".amr",
    ".3gp",
)  # decoded by librosa and audioread, which need ffmpeg


class Header(NamedTuple):
    """A sound file's header: ``frames`` (samples a channel) at ``rate`` Hz."""

    frames: int
    rate: int

    def samples(self, rate: int) -> int:
        """How many samples the file has at ``rate`` Hz."""
        return -(-self.frames * rate // self.rate)


@dataclass(frozen=True)
class Slicing:
    """How a clip becomes examples of ``length`` samples (loader.py's ``_slice``).

    ``hop`` samples lie between two starts; ``first`` keeps only the start, zero-padded; ``pad`` zero-pads the last
    slice instead of dropping it; ``offset`` moves slices at random.
    """

    hop: int
    first: bool = False
    pad: bool = False
    offset: bool = False
    length: int = SLICE

    @classmethod
    def of(cls, data: DataConfig, length: int = SLICE) -> Self:
        """The slicing of a configuration. ``first_slice`` overrides the rest, as in the original's command line."""
        hop = int(round(length * (1 - data.overlap)) + 1e-4)
        if hop < 1:
            raise ConfigError(f"data.overlap={data.overlap}: slices of {length} samples would not move; take less")
        if data.first_slice:
            return cls(length, first=True, pad=True, length=length)
        return cls(hop, pad=data.pad_end, offset=data.random_offset, length=length)

    def count(self, samples: int) -> int:
        """How many slices a clip of ``samples`` gives at offset 0."""
        if self.first:
            return min(samples, 1)
        if self.pad:
            return -(-samples // self.hop)
        return max(0, 1 + (samples - self.length) // self.hop)

    def start(self, samples: int, number: int, share: float) -> int:
        """Where slice ``number`` starts, its offset at ``share`` in [0, 1) of those allowed.

        The original starts a file at U{0 ... 16383} and drops the slices that then run over its end. Here every slice
        has the offsets that keep it (of padded ones at least a sample): the same distribution, with a fixed count.
        """
        start = number * self.hop
        if not self.offset:
            return start
        room = samples - start - (1 if self.pad else self.length)
        return start + int(share * (min(room, self.length - 1) + 1))


def probe(path: Path) -> Header:
    """The header of a sound file, without decoding. Raises BrokenFile for what is none, and for one without samples."""
    with _broken_file_named(path):
        if _is_foreign(path):
            import librosa

            rate = int(librosa.get_samplerate(path))
            header = Header(round(librosa.get_duration(path=path) * rate), rate)
        else:
            info = soundfile.info(path)
            header = Header(info.frames, info.samplerate)
    if header.frames < 1 or header.rate < 1:
        raise BrokenFile(str(path), "holds no samples")
    return header


def decode(path: Path, rate: int) -> np.ndarray:
    """The whole file: float32 [T] at ``rate`` Hz, mono, its peak at 1 (silence stays silence).

    Raises BrokenFile where it cannot be decoded, is shorter than its header says, or holds NaN.
    """
    header = probe(path)
    with _broken_file_named(path):
        if _is_foreign(path):
            import librosa

            samples = np.atleast_2d(librosa.load(path, sr=None, mono=False)[0]).T
        else:
            samples = soundfile.read(path, dtype="float32", always_2d=True)[0]
    if len(samples) < header.frames - SLACK * header.rate:
        promised, found = header.frames / header.rate, len(samples) / header.rate
        raise BrokenFile(str(path), f"is cut short: its header says {promised:.2f} s, {found:.2f} s can be decoded")
    clip = samples.mean(axis=1)
    if rate != header.rate:
        clip = soxr.resample(clip, header.rate, rate, quality="HQ")
    clip = fitted(clip, header.samples(rate))
    return normalised(clip, str(path))


def fitted(clip: np.ndarray, length: int) -> np.ndarray:
    """``clip`` [T] as float32 [length]: cut, or continued with zeros; always a copy."""
    piece = np.zeros(length, np.float32)
    piece[: len(clip)] = clip[:length]
    return piece


def normalised(clip: np.ndarray, place: str) -> np.ndarray:
    """``clip`` with its peak at 1; silence stays silence. BrokenFile, naming ``place``, for NaN and infinities."""
    peak = np.abs(clip).max()
    if not np.isfinite(peak):
        raise BrokenFile(place, "holds values that are not finite")
    return clip / peak if peak > 0 else clip


class DecodedFiles:
    """Decoded files, of which the latest are kept in memory, since slices of one file are often read in a row."""

    def __init__(self, rate: int, limit: int = CACHE) -> None:
        self._rate, self._limit, self._held = rate, limit, 0
        self._kept: OrderedDict[Path, np.ndarray] = OrderedDict()
        self._lock = Lock()

    def __getitem__(self, path: Path) -> np.ndarray:
        """What :func:`decode` gives for ``path``; not to be written to."""
        with self._lock:
            if path in self._kept:
                self._kept.move_to_end(path)
                return self._kept[path]
        clip = decode(path, self._rate)
        with self._lock:
            if path not in self._kept:
                self._kept[path] = clip
                self._held += clip.nbytes
            while self._held > self._limit and len(self._kept) > 1:
                self._held -= self._kept.popitem(last=False)[1].nbytes
        return clip

    def __reduce__(self) -> tuple[type[DecodedFiles], tuple[int, int]]:
        return DecodedFiles, (self._rate, self._limit)  # a worker starts with an empty one


def write_wav(path: Path, clips: np.ndarray | Sequence[np.ndarray], rate: int) -> None:
    """Write one clip [T], or several (a sequence or [N, T]) with half a second of silence between, as 16-bit PCM.

    Values in [-1, 1] become ``int16(clip(32767 x))``, as in train_specgan.py. Raises DataError for NaN.
    """
    single = isinstance(clips, np.ndarray) and clips.ndim == 1
    pieces: list[np.ndarray] = []
    for clip in [clips] if single else clips:
        pieces += [np.zeros(GAP, np.float32)] * bool(pieces) + [np.asarray(clip)]
    samples = np.concatenate(pieces)
    if not np.isfinite(samples).all():
        raise DataError(f"{path}: a clip holds values that are not finite, so nothing was written")
    pcm = np.clip(samples * 32767.0, -32767, 32767).astype(np.int16)
    soundfile.write(path, pcm, rate, subtype="PCM_16", format="WAV")


@contextmanager
def _broken_file_named(path: Path) -> Iterator[None]:
    """Turn what decoders raise into a BrokenFile with a reason."""
    try:
        yield
    except Exception as error:  # each backend of audioread has exceptions of its own
        raise BrokenFile(str(path), _reason(path, error)) from error


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "no such file"
    if path.stat().st_size == 0:
        return "is empty"
    if type(error).__name__ == "NoBackendError":
        return f"{path.suffix} files need ffmpeg, which was not found"
    return f"cannot be read as sound ({' '.join(str(getattr(error, 'error_string', error)).split()).rstrip('.')})"


def _is_foreign(path: Path) -> bool:
    return path.suffix.lower() in FOREIGN
