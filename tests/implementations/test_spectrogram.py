"""Spectrograms of both implementations, NumPy's definitions and librosa agree; in float64 unless said otherwise."""

from __future__ import annotations

from types import ModuleType

import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf
import torch

import tf_impl.spectrogram
import torch_impl.spectrogram
from parity.systems.golden.records import OWN
from shared_impl.data.moments import Accumulator

CLIP, BINS = 16384, 129
FAITHFUL = 1e-12  # relative; how closely twins agree in float64 where nothing amplifies rounding
FRAMINGS = [(256, 128), (512, 128), (64, 16)]
IMPLEMENTATIONS = [tf_impl.spectrogram, torch_impl.spectrogram]


def run(implementation: ModuleType, function: str, values: np.ndarray, *arguments, **options) -> np.ndarray:
    """An implementation's function on NumPy arrays; images are NHWC in and out."""
    if implementation is tf_impl.spectrogram:
        return getattr(implementation, function)(tf.constant(values), *arguments, **options).numpy()
    given = torch.tensor(values)
    made = getattr(implementation, function)(given.movedim(-1, 1) if given.ndim == 4 else given, *arguments, **options)
    return (made.movedim(1, -1) if function == "spectrogram" else made).numpy()


def apart(got: np.ndarray, expected: np.ndarray) -> float:
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def stft(waveforms: np.ndarray, frame: int, hop: int) -> np.ndarray:
    """By definition: windowed frames that fit into ``[B, T]``, transformed; ``[B, frames, frame / 2 + 1]``."""
    frames = np.lib.stride_tricks.sliding_window_view(waveforms, frame, axis=1)[:, ::hop]
    return np.fft.rfft(frames * hann(frame, waveforms.dtype))


def istft(transform: np.ndarray, frame: int, hop: int, corrected: bool) -> np.ndarray:
    window = hann(frame, transform.real.dtype)
    if corrected:
        window = window / sum(np.square(np.roll(window, shift)) for shift in range(0, frame, hop))
    frames = np.fft.irfft(transform) * window
    samples = np.zeros((len(frames), (frames.shape[1] - 1) * hop + frame), window.dtype)
    for i in range(frames.shape[1]):
        samples[:, i * hop : i * hop + frame] += frames[:, i]
    return samples


def hann(frame: int, dtype: np.dtype) -> np.ndarray:
    return ((1 - np.cos(2 * np.arange(frame, dtype=dtype) / frame * np.arccos(np.array(-1, dtype)))) / 2).astype(dtype)


def griffin_lim(magnitude: np.ndarray, iterations: int, corrected: bool, frame: int = 256, hop: int = 128):
    transform = magnitude.astype(np.result_type(magnitude.dtype, np.complex64))
    for _ in range(iterations):
        estimate = stft(istft(transform, frame, hop, corrected), frame, hop)
        transform = magnitude * (estimate / np.maximum(np.abs(estimate), 1e-8))
    return istft(transform, frame, hop, corrected)[:, : magnitude.shape[1] * hop]


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """Decaying tones in noise, ``[3, 16384]``, float64."""
    rs = np.random.RandomState(0)
    t = np.arange(CLIP) / 16000
    pitch, decay = rs.uniform(200, 900, (3, 1)), rs.uniform(0, 6, (3, 1))
    return 0.5 * np.sin(2 * np.pi * pitch * t) * np.exp(-decay * t) + 0.02 * rs.standard_normal((3, CLIP))


@pytest.fixture(scope="module")
def record() -> dict[str, np.ndarray]:
    with np.load(OWN / "specgan_spectrogram.npz") as archive:
        return dict(archive)


def moments(frame: int = 256) -> tuple[np.ndarray, np.ndarray]:
    rs = np.random.RandomState(1)
    return rs.normal(-2, 0.5, frame // 2 + 1), rs.uniform(0.7, 2, frame // 2 + 1)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("frame", "hop"), FRAMINGS)
@pytest.mark.parametrize("samples", [CLIP, 1000, 129, 128, 40, 1])
def test_log_magnitudes_equal_librosa(sound, implementation, frame, hop, samples):
    """Of any length, even below a frame: ceil(T / hop) frames, zeros after the end.

    Held against the loudest bin: the logarithm of a faint one shows the rounding of the loud ones it was summed with.
    """
    clips = sound[:, -samples:]
    frames = -(-samples // hop)
    extended = np.pad(clips, [(0, 0), (0, (frames - 1) * hop + frame - samples)])
    expected = librosa.stft(extended, n_fft=frame, hop_length=hop, center=False, dtype=np.complex128).swapaxes(1, 2)
    got = run(implementation, "log_magnitude", clips, frame, hop)
    assert got.shape == (3, frames, frame // 2 + 1)
    assert apart(np.exp(got), np.abs(expected) + 1e-6) < FAITHFUL
    assert apart(np.exp(got), np.abs(stft(extended, frame, hop)) + 1e-6) < FAITHFUL


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("frame", "hop"), FRAMINGS)
def test_spectrograms_are_normalised_clipped_and_lose_the_highest_bin(sound, implementation, frame, hop):
    mean, std = moments(frame)
    logs = run(implementation, "log_magnitude", sound, frame, hop)
    expected = np.clip((logs - mean)[..., :-1] / std[:-1] / 3, -1, 1)[..., None]
    got = run(implementation, "spectrogram", sound, mean, std, frame, hop)
    assert got.shape == (3, CLIP // hop, frame // 2, 1)
    assert apart(got, expected) < FAITHFUL
    assert got.min() == -1
    louder = run(implementation, "spectrogram", sound * 1e6, mean, std, frame, hop)
    assert louder.max() == 1


@pytest.mark.parametrize("inverse", ["original", "corrected"])
@pytest.mark.parametrize("iterations", [0, 1, 16])
@pytest.mark.parametrize(("frame", "hop"), FRAMINGS[:2])
def test_waveforms_agree_between_the_implementations_and_with_the_definition(sound, inverse, iterations, frame, hop):
    mean, std = moments(frame)
    images = run(tf_impl.spectrogram, "spectrogram", sound, mean, std, frame, hop)
    magnitude = np.exp(np.pad(images[..., 0], [(0, 0), (0, 0), (0, 1)]) * 3 * std + mean)
    expected = griffin_lim(magnitude, iterations, inverse == "corrected", frame, hop)
    options = {"iterations": iterations, "inverse": inverse, "frame": frame, "hop": hop}
    ours, port = (run(implementation, "waveform", images, mean, std, **options) for implementation in IMPLEMENTATIONS)
    assert ours.shape == (3, CLIP)
    assert max(apart(ours, expected), apart(port, expected), apart(port, ours)) < FAITHFUL


def test_silence_is_as_uncertain_as_rounding_makes_it(record):
    """The record's last clip is silent for 8000 samples: Griffin-Lim's phases there are quotients of cancelled sums.

    Extended precision is as far from float64 as the implementations are from each other, and only where it is silent.
    """
    images, mean, std = record["spectrogram"][3:].astype(np.float64), record["mean"], record["std"]
    ours, port = (run(implementation, "waveform", images, mean, std) for implementation in IMPLEMENTATIONS)
    magnitude = np.exp(np.pad(images[..., 0], [(0, 0), (0, 0), (0, 1)]) * 3 * std.astype(np.float64) + mean)
    double, extended = (griffin_lim(magnitude.astype(dtype), 16, False) for dtype in (np.float64, np.longdouble))
    uncertainty = np.abs(extended - double).max()
    assert not record["waveform"][3, :8000].any()
    assert apart(port, ours) > FAITHFUL
    assert np.abs(port - ours).max() < 64 * uncertainty < 1e-5  # a factor for one draw of rounding against another
    assert np.abs(port - ours)[:, 9216:].max() < FAITHFUL


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("iterations", [0, 1, 16])
def test_the_corrected_inverse_equals_librosa(sound, implementation, iterations):
    """librosa divides by the windows that do overlap, ours by those that would in the middle: the ends are silenced."""
    fading = sound * (np.abs(np.arange(CLIP) - CLIP / 2) < CLIP / 2 - 512)
    magnitude = np.abs(stft(np.pad(fading, [(0, 0), (0, 128)]), 256, 128))
    magnitude[..., -1] = 1e-300  # of the highest bin only the mean comes back
    magnitude[:, [0, 1, -2, -1]] = 1e-300
    images = np.log(magnitude[..., :-1] + 1e-300)[..., None]
    expected = [
        librosa.griffinlim(
            one.T, n_iter=iterations, hop_length=128, center=False, momentum=0, init=None, dtype=np.float64
        )
        for one in magnitude
    ]
    mean, std = np.zeros(BINS), np.full(BINS, 1 / 3)
    mean[-1] = np.log(1e-300)
    got = run(implementation, "waveform", images, mean, std, iterations, "corrected")
    assert apart(got[:, 128:-128], np.array(expected)[:, 128:CLIP][:, :-128]) < FAITHFUL


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_more_iterations_come_closer_to_the_spectrogram(sound, implementation):
    """Griffin and Lim's theorem holds with the corrected inverse; the original's also gains, to another loudness."""
    mean, std = moments()
    images = run(implementation, "spectrogram", sound, mean, std)
    wanted = np.exp(run(implementation, "log_magnitude", sound))
    far = []
    for iterations in (0, 2, 8, 32):
        clips = run(implementation, "waveform", images, mean, std, iterations, "corrected")
        far.append(
            np.linalg.norm(np.exp(run(implementation, "log_magnitude", clips)) - wanted) / np.linalg.norm(wanted)
        )
    assert far == sorted(far, reverse=True)
    assert far[-1] < far[0] / 2


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_images_are_uint8_with_time_to_the_right_and_pitch_upwards(implementation):
    values = np.array([[-1.0, -0.5, 0.0, 0.999, 1.0], [-3.0, 3.0, -1 / 256, 1 / 256, 0.25]])  # two frames of five bins
    shades = np.array([[0, 64, 128, 255, 255], [0, 255, 127, 128, 160]], np.uint8)
    got = run(implementation, "image", values[None, :, :, None])
    assert got.dtype == np.uint8
    assert np.array_equal(got, shades.T[::-1][None, :, :, None])
    coloured = np.random.RandomState(0).uniform(-1, 1, (2, 6, 4, 3))
    assert np.array_equal(
        run(implementation, "image", coloured)[..., 1:2], run(implementation, "image", coloured[..., 1:2])
    )


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_clip_does_not_depend_on_its_batch(sound, implementation):
    mean, std = moments()
    together = run(implementation, "spectrogram", sound, mean, std)
    clips = run(implementation, "waveform", together, mean, std)
    for i in range(3):
        alone = run(implementation, "spectrogram", sound[i : i + 1], mean, std)
        assert apart(alone, together[i : i + 1]) < FAITHFUL
        assert apart(run(implementation, "waveform", alone, mean, std), clips[i : i + 1]) < FAITHFUL


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("inverse", ["original", "corrected"])
def test_silence_gives_finite_numbers_with_its_own_moments_too(implementation, dtype, inverse):
    silence = np.zeros((2, CLIP), dtype)
    logs = run(implementation, "log_magnitude", silence)
    assert np.allclose(logs, np.log(1e-6), rtol=1e-6)
    accumulator = Accumulator({})
    accumulator.add(logs)
    own = accumulator.result()
    images = run(implementation, "spectrogram", silence, own.mean, own.std)
    assert images.dtype == dtype
    assert np.abs(images).max() < 1e-5
    clips = run(implementation, "waveform", images, own.mean, own.std, inverse=inverse)
    assert clips.dtype == dtype
    assert np.abs(clips).max() < 1e-3


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_single_precision_stays_near_double(sound, implementation):
    """Unit roundoff 6e-8, over sums of 256 and a logarithm near 1e-6: README of the golden records says 3e-5."""
    mean, std = moments()
    double = run(implementation, "spectrogram", sound, mean, std)
    single = run(implementation, "spectrogram", sound.astype(np.float32), mean, std)
    assert single.dtype == np.float32
    assert 0 < apart(single, double) < 3e-5


def test_half_precision_is_computed_in_float32(sound):
    mean, std = moments()
    half = torch.tensor(sound).bfloat16()
    expected = torch_impl.spectrogram.spectrogram(half.float(), mean, std)
    with torch.autocast("cpu", torch.bfloat16):
        got = torch_impl.spectrogram.spectrogram(half, mean, std)
        clips = torch_impl.spectrogram.waveform(got.bfloat16(), mean, std)
    assert torch.equal(got, expected) and clips.dtype == torch.float32
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        ours = tf_impl.spectrogram.spectrogram(tf.constant(half.float().numpy(), tf.bfloat16), mean, std)
        clips = tf_impl.spectrogram.waveform(tf.cast(ours, tf.bfloat16), mean, std)
    finally:
        keras.config.set_dtype_policy("float32")
    assert ours.dtype == clips.dtype == tf.float32
    assert apart(ours.numpy()[..., 0], got.numpy()[:, 0]) < 2 * 3e-5  # both as far from float64 as above


def test_a_graph_for_any_batch_gives_what_eager_execution_gives(sound):
    mean, std = moments()

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float64)])
    def there(waveforms):
        return tf_impl.spectrogram.spectrogram(waveforms, mean, std)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.float64)])
    def back(images):
        return tf_impl.spectrogram.waveform(images, mean, std, 2), tf_impl.spectrogram.image(images)

    for count in (1, 3):
        images = run(tf_impl.spectrogram, "spectrogram", sound[:count], mean, std)
        assert apart(there(sound[:count]).numpy(), images) < FAITHFUL
        clips, pictures = back(images)
        assert apart(clips.numpy(), run(tf_impl.spectrogram, "waveform", images, mean, std, 2)) < FAITHFUL
        assert np.array_equal(pictures.numpy(), run(tf_impl.spectrogram, "image", images))


def test_no_gradient_passes(sound):
    mean, std = moments()
    waveforms = torch.tensor(sound[:1], requires_grad=True)
    images = torch_impl.spectrogram.spectrogram(waveforms, mean, std)
    assert not images.requires_grad
    assert not torch_impl.spectrogram.waveform(images.requires_grad_(), mean, std).requires_grad
    given = tf.constant(sound[:1])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(given)
        made = tf_impl.spectrogram.spectrogram(given, mean, std)
        tape.watch(made)
        clips = tf_impl.spectrogram.waveform(made, mean, std)
    assert tape.gradient(made, given) is None
    assert tape.gradient(clips, made) is None


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("function", "shape", "arguments", "message"),
    [
        ("log_magnitude", (3,), (), r"waveforms: got float64 \[3\], expected floating-point \[B, T\]"),
        ("log_magnitude", (2, 0), (), r"waveforms: got float64 \[2, 0\]"),
        ("log_magnitude", (0, 500), (), r"waveforms: got float64 \[0, 500\]"),
        ("log_magnitude", (2, 500), (255, 51), "frame is 255, hop is 51: expected an even frame and a shorter hop"),
        ("log_magnitude", (2, 500), (256, 100), "frame is 256, hop is 100"),
        ("log_magnitude", (2, 500), (256, 256), "frame is 256, hop is 256"),
        ("log_magnitude", (2, 500), (256, 0), "frame is 256, hop is 0"),
        ("spectrogram", (2, 500), (np.ones(128), np.ones(129)), r"mean: got shape \[128\], expected \[129\] for"),
        ("spectrogram", (2, 500), (np.ones(129), 1.0), r"std: got shape \[\], expected \[129\] for frames of 256"),
        ("spectrogram", (2, 500), (np.ones(129), np.ones(129), 512), r"mean: got shape \[129\], expected \[257\]"),
        ("waveform", (2, 4, 129, 1), (np.ones(129), np.ones(129)), "spectrograms: got .*129.*, expected .*128"),
        ("waveform", (2, 4, 128, 3), (np.ones(129), np.ones(129)), "spectrograms: got .*3.*, expected .*128"),
        ("waveform", (2, 4, 128, 1), (np.ones(129), np.ones(129), 1, "proper"), "inverse is 'proper', .* original, c"),
        ("waveform", (2, 4, 128, 1), (np.ones(129), np.ones(129), -1), "iterations is -1; .* and no negative number"),
        ("image", (4, 128), (), r"spectrograms: got float64 \[4, 128\]"),
    ],
)  # fmt: skip
def test_invalid_arguments_raise_the_same_line_in_both_implementations(
    implementation, function, shape, arguments, message
):
    with pytest.raises(ValueError, match=message) as caught:
        run(implementation, function, np.zeros(shape), *arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_integer_waveforms_are_rejected(implementation):
    with pytest.raises(ValueError, match=r"waveforms: got int16 \[2, 500\], expected floating-point"):
        run(implementation, "log_magnitude", np.zeros((2, 500), np.int16))
