"""Spectrograms of other sizes: slices, moments, transforms, and whole runs of a system whose framing is its own."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from parity.__main__ import run as bridge
from parity.systems.training import drawn_data
from parity.systems.training.implementations import KERAS, TORCH
from shared_impl.cli.main import run
from shared_impl.config.presets import load
from shared_impl.data.moments import Moments, MomentsError, save
from shared_impl.data.moments import load as load_moments
from shared_impl.data.source_moments import measure, moment_settings
from shared_impl.data.sources import open_source

IMPLEMENTATIONS = {"tf_impl": KERAS, "torch_impl": TORCH}
SIZES = {64: (128, 32, 2048), 128: (256, 64, 8192), 256: (512, 128, 32768), 512: (1024, 256, 131072)}
FAITHFUL = 1e-12  # relative; float64 rounding of a transform of up to 1024 samples stays below 1e-14
SINGLE = 1e-6  # relative; clips are handed out in float32, which rounds to 6e-8
SMALL = ["training.batch_size=2", "training.precision=float64", "runs.samples=2", "runs.previews=2", "training.ema=0.5"]
TINY = ["soundgan_tiny", "model.ngf=1", "model.ndf=1", "model.nz=4", "data.first_slice=true", *SMALL]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def configured(size: int, *overrides: str):
    return load("soundgan_tiny", [f"model.image_size={size}", "training.precision=float64", *overrides])


def command(implementation: str, *arguments: str) -> int:
    """The exit status of ``python -m implementation ...``, run in this process."""
    module = __import__(f"{implementation}.__main__", fromlist=["implementation"])
    return run(implementation, module.load_framework, arguments)


def apart(got: np.ndarray, expected: np.ndarray) -> float:
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("size", SIZES)
def test_the_framing_of_a_system_fills_its_square_images(size):
    framing = configured(size).model.framing
    assert tuple(framing) == SIZES[size]
    assert framing.samples // framing.hop == framing.frame // 2 == size


def test_specgan_has_the_framing_of_the_original():
    assert tuple(load("specgan").model.framing) == (256, 128, 16384)


@pytest.mark.parametrize("size", SIZES)
def test_examples_have_the_length_of_the_framing(size):
    config = configured(size, "data.first_slice=true")
    source = open_source(config.data, config.model)
    clip, whole = source[0]["x"], open_source(load("specgan_tiny").data, load("specgan_tiny").model)[0]["x"]
    length = SIZES[size][2]
    assert clip.shape == (length,) and len(source) == 1024
    np.testing.assert_array_equal(clip[:16384], whole[:length])
    assert not clip[16384:].any()


def test_slices_follow_the_framing_and_too_short_sounds_are_rejected():
    assert len(open_source(configured(64).data, configured(64).model)) == 8 * 1024
    assert len(open_source(configured(128).data, configured(128).model)) == 2 * 1024
    with pytest.raises(Exception, match="too short: 16384 of 32768 samples at 16000 Hz"):
        open_source(configured(256).data, configured(256).model)


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 128, 256])
def test_both_trainers_compute_scipys_spectrogram_and_the_same_sound(size):
    """Of frame 2 S and hop S / 2, a quarter of it; scipy's is scaled by the sum of its window."""
    config = configured(size, "model.ngf=1", "model.ndf=1", "model.nz=4", "training.batch_size=2")
    frame, hop, samples = config.model.framing
    moments = drawn_data.moments(config, KERAS.log_magnitude)
    assert isinstance(moments, Moments) and moments.mean.shape == (size + 1,)
    clips = drawn_data.batch(config, 1)["x"].astype(np.float64)
    assert clips.shape == (2, samples)
    extended = np.pad(clips, ((0, 0), (0, frame - hop)))
    _, _, transform = scipy.signal.stft(
        extended, nperseg=frame, noverlap=frame - hop, window="hann", boundary=None, padded=False
    )
    logs = np.log(np.abs(transform.swapaxes(1, 2)) * scipy.signal.get_window("hann", frame).sum() + 1e-6)
    expected = np.clip((logs - moments.mean) / moments.std / 3, -1, 1)[:, :, :-1, None]
    seen = {}
    for implementation in IMPLEMENTATIONS.values():
        trainer = implementation.build(config, 1, moments)
        seen[implementation.name] = implementation.prepare(trainer, clips)
        assert seen[implementation.name].shape == (2, size, size, 1)
        assert apart(seen[implementation.name], expected) < FAITHFUL
        heard = trainer.clips(seen[implementation.name])
        assert (
            apart(heard, implementation.waveform(seen[implementation.name], moments, "original", frame, hop)) < SINGLE
        )
        assert heard.shape == clips.shape
    assert apart(seen["torch"], seen["Keras"]) < FAITHFUL


def test_moments_of_another_framing_are_rejected():
    config = configured(64, "data.first_slice=true")
    source = open_source(config.data, config.model)
    save(measure(source, config, TORCH.log_magnitude), Path("moments.npz"))
    wanted = moment_settings(source, config)
    assert (wanted["frame"], wanted["hop"]) == (128, 32)
    assert load_moments(Path("moments.npz"), wanted).mean.shape == (65,)
    for name, other in (("frame", 256), ("hop", 64)):
        with pytest.raises(MomentsError, match=f"measured with other settings .*{name}: got {wanted[name]}, expected"):
            load_moments(Path("moments.npz"), wanted | {name: other})


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_moments_command_uses_the_framing_of_the_system(implementation, capsys):
    measuring = ["moments", "soundgan_tiny", "data.first_slice=true", "--out", "64.npz"]
    assert command(implementation, *measuring) == 0
    with np.load("64.npz") as file:
        assert file["mean"].shape == (65,)
    assert command(implementation, "train", *TINY, "training.steps=1", "data.moments=64.npz") == 0
    larger = [*TINY, "model.image_size=128", "training.steps=1", "data.moments=64.npz"]
    assert command(implementation, "train", *larger) == 2
    assert "frame: got 128, expected 256" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("implementation", "other"), [("tf_impl", "torch_impl"), ("torch_impl", "tf_impl")])
def test_a_run_trains_generates_sound_is_evaluated_and_continues_converted(implementation, other):
    assert command(implementation, "train", *TINY, "training.steps=2") == 0
    folder = Path("runs/0001-soundgan_tiny")
    with wave.open(str(next((folder / "previews").glob("*.wav")))) as file:
        assert file.getnframes() == 2 * 2048 + 8192
    assert (
        command(implementation, "generate", "soundgan_tiny", "--seeds", "0,1", "--format", "wav", "--format", "npz")
        == 0
    )
    with wave.open(str(folder / "generated/seed-0001.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (16000, 2048)
    assert command(implementation, "evaluate", "soundgan_tiny", "--samples", "4") == 0
    assert bridge(["convert", "soundgan_tiny", {"torch_impl": "torch", "tf_impl": "tensorflow"}[other]]) == 0
    assert command(other, "generate", "soundgan_tiny", "--seeds", "0,1", "--format", "npz", "--out", "there") == 0
    with np.load(folder / "generated/samples.npz") as here, np.load("there/samples.npz") as there:
        assert here["images"].shape == (2, 64, 64, 1) and here["clips"].shape == (2, 2048)
        for name in ("latents", "images"):
            np.testing.assert_allclose(there[name], here[name], rtol=0, atol=SINGLE)
    assert command(other, "train", "soundgan_tiny", "training.steps=3", "--resume") == 0
