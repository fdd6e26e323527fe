"""The metrics log and TensorBoard's records, read back as their readers do."""

from __future__ import annotations

import builtins
import io
import json
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile
from PIL import Image

from shared_impl.config.presets import ConfigError
from shared_impl.data.audio import write_wav
from shared_impl.storage.metrics_log import METRICS, SECONDS, TENSORBOARD, MetricsLog, read, summary


@pytest.fixture
def board(tmp_path, monkeypatch):
    """Everything that TensorBoard would show, read by its own reader without a framework."""
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def load():
        return EventAccumulator(str(tmp_path / TENSORBOARD), size_guidance={"images": 0, "audio": 0}).Reload()

    return load


def test_lines_hold_what_was_logged(tmp_path):
    log = MetricsLog(tmp_path, tensorboard=False)
    log.log(1, {"g_loss": np.float32(0.5), "d_loss": 1})
    log.log(20, {"g_loss": float("nan")})
    first, second = read(tmp_path)  # before it is closed: a kill would lose nothing
    assert {**first, SECONDS: 0} == {"step": 1, "g_loss": 0.5, "d_loss": 1.0, SECONDS: 0}
    assert second["g_loss"] is None
    assert 0 <= first[SECONDS] <= second[SECONDS] <= log.seconds
    assert log.last == summary(read(tmp_path)) == {**first, **second}
    log.close()
    assert not (tmp_path / TENSORBOARD).exists()


@pytest.mark.parametrize(
    "torn", ['{"step": 4, "g_l', "7", "[]", '{"step": null}', '{"g_loss": 1}', "\x00\x00\x00", ""], ids=repr
)
def test_a_line_that_a_crash_tore_is_left_out(torn, tmp_path):
    log = MetricsLog(tmp_path, tensorboard=False)
    for step in (1, 2, 3):
        log.log(step, {"g_loss": step})
    log.close()
    with (tmp_path / METRICS).open("a") as file:
        file.write(torn)
    assert [line["step"] for line in read(tmp_path)] == [1, 2, 3]
    again = MetricsLog(tmp_path, tensorboard=False, after=2)
    again.log(3, {"g_loss": 33})
    again.close()
    steps = [json.loads(line)["g_loss"] for line in (tmp_path / METRICS).read_text().splitlines()]
    assert steps == [1, 2, 33]


def test_tensorboard_shows_curves_pictures_and_sounds(tmp_path, board):
    log = MetricsLog(tmp_path)
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_wav(tmp_path / "a.wav", np.linspace(-0.5, 0.5, 1000, dtype=np.float32), 16000)
    for step in (1, 2):
        log.log(step, {"g_loss": step / 2, "d_loss": float("inf")})
    log.picture(2, "samples", picture)
    log.picture(2, "grey", picture[..., :1])
    log.sound(2, "previews", tmp_path / "a.wav")
    shown = board()  # before it is closed
    assert [(event.step, event.value) for event in shown.Scalars("g_loss")] == [(1, 0.5), (2, 1.0)]
    assert shown.Tags()["scalars"] == ["g_loss"]
    (image,) = shown.Images("samples")
    assert (np.asarray(Image.open(io.BytesIO(image.encoded_image_string))) == picture).all()
    assert (image.height, image.width) == (5, 7)
    (sound,) = shown.Audio("previews")
    samples, rate = soundfile.read(io.BytesIO(sound.encoded_audio_string))
    assert (len(samples), rate) == (1000, 16000) == (sound.length_frames, sound.sample_rate)
    log.close()


def test_tensorboard_forgets_what_a_resumed_run_takes_back(tmp_path, board):
    log = MetricsLog(tmp_path)
    for step in (1, 2, 3, 4):
        log.log(step, {"g_loss": step})
    log.close()
    for resumption in (10, 20):  # within the same second: files of their own all the same
        log = MetricsLog(tmp_path, after=2)
        log.log(3, {"g_loss": 3 + resumption})
        log.close()
    assert [(event.step, event.value) for event in board().Scalars("g_loss")] == [(1, 1), (2, 2), (3, 23)]


def test_writing_for_tensorboard_loads_no_framework(tmp_path):
    code = (
        "import sys, pathlib\nfrom shared_impl.storage.metrics_log import MetricsLog\n"
        f"MetricsLog(pathlib.Path({str(tmp_path)!r})).log(1, {{'g_loss': 1}})\n"
        "print([name for name in ('torch', 'tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_tensorboard_the_error_says_what_to_do(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("tensorboard"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install tensorboard, or set runs.tensorboard=false"):
        MetricsLog(tmp_path)
