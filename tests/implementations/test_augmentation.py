"""Images changed at random: the same in both frameworks, as defined, and as SciPy and Pillow understand the words."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import torch
from PIL import Image, ImageEnhance
from scipy import ndimage

import tf_impl.augmentation
import torch_impl.augmentation
from shared_impl.config.data import DataConfig
from shared_impl.data.augmentation import AUGMENTATION
from shared_impl.draws import Draws

# In float64 both compute the same products and sums: what may differ is the last digit of a sine or of a mean.
ROUNDING = 1e-12
EVERYTHING = {"flip": "both", "rotate": 25.0, "jitter": 0.4}
RANDOM = np.random.RandomState(0)


def pictures(*shape):
    return RANDOM.uniform(-1, 1, shape or (7, 12, 9, 3))


def drawn(count, step=0):
    return Draws(0).uniform("augmentation", (count, AUGMENTATION), step)


def in_tensorflow(cfg, images, numbers, call=tf_impl.augmentation.augment):
    return call(cfg, tf.constant(images), tf.constant(numbers)).numpy()


def in_torch(cfg, images, numbers):
    tensor = torch.from_numpy(images).movedim(-1, 1)
    return torch_impl.augmentation.augment(cfg, tensor, torch.from_numpy(numbers)).movedim(1, -1).numpy()


IMPLEMENTATIONS = pytest.mark.parametrize("implementation", [in_tensorflow, in_torch])


def bilinear(image, y, x):
    """The value of ``image`` ``[H, W, C]`` between its pixels, its edge repeated outside."""
    (height, width), value = image.shape[:2], 0
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            share = (1 - abs(y - row)) * (1 - abs(x - column))
            value = value + share * image[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return value


def defined(cfg, images, numbers):
    """The definition, pixel by pixel."""
    made = []
    for image, (across, down, turn, *light) in zip(images, numbers, strict=True):
        height, width, channels = image.shape
        if cfg.flip in ("horizontal", "both") and across < 0.5:
            image = image[:, ::-1]
        if cfg.flip in ("vertical", "both") and down < 0.5:
            image = image[::-1]
        angle, (v, u) = np.deg2rad((2 * turn - 1) * cfg.rotate), ((height - 1) / 2, (width - 1) / 2)
        turned = np.array(
            [
                [
                    bilinear(
                        image,
                        np.sin(angle) * (x - u) + np.cos(angle) * (y - v) + v,
                        np.cos(angle) * (x - u) - np.sin(angle) * (y - v) + u,
                    )
                    for x in range(width)
                ]
                for y in range(height)
            ]
        )
        shades, luminance = (turned + 1) / 2, np.array([0.2989, 0.587, 0.114])
        brightness, contrast, saturation = (1 + (2 * number - 1) * cfg.jitter for number in light)

        def grey(shades, colours=channels == 3, luminance=luminance):
            return (shades @ luminance)[..., None] if colours else shades

        shades = np.clip(brightness * shades, 0, 1)
        shades = np.clip(contrast * shades + (1 - contrast) * grey(shades).mean(), 0, 1)
        shades = np.clip(saturation * shades + (1 - saturation) * grey(shades), 0, 1)
        made.append(2 * shades - 1)
    return np.stack(made)


@IMPLEMENTATIONS
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "options", [EVERYTHING, {"flip": "both"}, {"flip": "vertical"}, {"rotate": 180.0}, {"jitter": 0.9}], ids=str
)
def test_each_implementation_computes_the_definition(implementation, options, channels):
    cfg, images = DataConfig(**options), pictures(7, 12, 9, channels)
    np.testing.assert_allclose(
        implementation(cfg, images, drawn(7)), defined(cfg, images, drawn(7)), rtol=0, atol=ROUNDING
    )


@pytest.mark.parametrize("shape", [(5, 64, 64, 3), (5, 33, 20, 1)])
def test_both_implementations_agree_to_rounding(shape):
    cfg, images = DataConfig(**EVERYTHING), pictures(*shape)
    for step in range(3):
        found = [implementation(cfg, images, drawn(5, step)) for implementation in (in_tensorflow, in_torch)]
        np.testing.assert_allclose(*found, rtol=0, atol=ROUNDING)


@IMPLEMENTATIONS
def test_without_options_images_stay_as_they_are(implementation):
    assert np.array_equal(implementation(DataConfig(), images := pictures(), drawn(7)), images)


@IMPLEMENTATIONS
@pytest.mark.parametrize(
    ("flip", "expected"),
    [
        ("horizontal", lambda a: [a[0, :, ::-1], a[1, :, ::-1], a[2], a[3]]),
        ("vertical", lambda a: [a[0, ::-1], a[1], a[2, ::-1], a[3]]),
        ("both", lambda a: [a[0, ::-1, ::-1], a[1, :, ::-1], a[2, ::-1], a[3]]),
    ],
)
def test_an_image_is_flipped_if_its_number_is_below_a_half(implementation, flip, expected):
    images, numbers = pictures(4, 6, 5, 3), np.full((4, AUGMENTATION), 0.5)
    numbers[:2, 0] = numbers[[0, 2], 1] = np.nextafter(0.5, 0)
    assert np.array_equal(implementation(DataConfig(flip=flip), images, numbers), np.stack(expected(images)))


@IMPLEMENTATIONS
def test_half_of_many_are_flipped(implementation):
    images = pictures(2000, 2, 2, 1)
    kept = (implementation(DataConfig(flip="horizontal"), images, drawn(2000)) == images).all((1, 2, 3))
    assert kept.mean() == pytest.approx(0.5, abs=0.035)  # three standard deviations


def numbers_for(angle, most):
    numbers = np.full((1, AUGMENTATION), 0.5)
    numbers[:, 2] = (1 + angle / most) / 2
    return numbers


@IMPLEMENTATIONS
@pytest.mark.parametrize("angle", [-150, -33, 7, 90])
def test_a_rotation_equals_scipys_and_pillows(implementation, angle):
    """Positive angles are counter-clockwise, the centre stays, and the edge is repeated outside."""
    image = pictures(1, 15, 15, 1)
    found = implementation(DataConfig(rotate=180.0), image, numbers_for(angle, 180.0))[0, ..., 0]
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    matrix = np.array([[cos, sin], [-sin, cos]])  # from a row and a column here to those of the source
    offset = 7 - matrix @ [7, 7]
    by_scipy = ndimage.affine_transform(image[0, ..., 0], matrix, offset, order=1, mode="nearest")
    np.testing.assert_allclose(found, by_scipy, rtol=0, atol=1e-12)
    inside = np.hypot(*np.mgrid[-7:8, -7:8]) < 6  # Pillow paints the outside black
    by_pillow = np.asarray(
        Image.fromarray(image[0, ..., 0].astype(np.float32)).rotate(angle, Image.Resampling.BILINEAR)
    )
    np.testing.assert_allclose(found[inside], by_pillow[inside], rtol=0, atol=1e-4)  # float32 coordinates


@IMPLEMENTATIONS
def test_a_rotation_by_90_degrees_is_exact(implementation):
    image = pictures(1, 8, 8, 3)
    found = implementation(DataConfig(rotate=180.0), image, numbers_for(90, 180.0))
    np.testing.assert_allclose(found[0], np.rot90(image[0]), rtol=0, atol=1e-12)


@IMPLEMENTATIONS
def test_jitter_equals_pillows(implementation):
    """Each enhancement by itself, on grey levels: Pillow rounds after each, and rounds the mean, thus two levels."""
    levels = RANDOM.randint(30, 226, (1, 16, 16, 3)).astype(np.uint8)
    for column, enhance in ((3, ImageEnhance.Brightness), (4, ImageEnhance.Contrast), (5, ImageEnhance.Color)):
        for factor in (0.6, 1.4):
            numbers = np.full((1, AUGMENTATION), 0.5)
            numbers[:, column] = (1 + (factor - 1) / 0.8) / 2
            found = (implementation(DataConfig(jitter=0.8), levels / 127.5 - 1, numbers) + 1) * 127.5
            expected = np.asarray(enhance(Image.fromarray(levels[0])).enhance(factor), np.float64)
            assert np.abs(found[0] - expected).max() < 2
            assert np.abs(expected - levels[0]).max() > 20


@IMPLEMENTATIONS
def test_saturation_leaves_grey_images_alone(implementation):
    numbers = np.full((7, AUGMENTATION), 0.5)
    numbers[:, 5] = 0.01
    for images in (pictures(7, 6, 6, 1), np.repeat(pictures(7, 6, 6, 1), 3, -1)):
        found = implementation(DataConfig(jitter=0.9), images, numbers)
        np.testing.assert_allclose(found, images, rtol=0, atol=2e-4)  # the luminances' shares add up to 0.9999


@IMPLEMENTATIONS
def test_values_stay_within_the_range_of_images(implementation):
    found = implementation(DataConfig(**{**EVERYTHING, "jitter": 0.9}), pictures(), drawn(7))
    assert found.min() >= -1 and found.max() <= 1 and found.shape == (7, 12, 9, 3)


@IMPLEMENTATIONS
def test_an_image_is_augmented_independently_of_its_batch(implementation):
    cfg, images, numbers = DataConfig(**EVERYTHING), pictures(), drawn(7)
    whole = implementation(cfg, images, numbers)
    np.testing.assert_allclose(implementation(cfg, images[3:5], numbers[3:5]), whole[3:5], rtol=0, atol=ROUNDING)


def test_a_tensorflow_graph_gives_the_eager_images():
    cfg, images = DataConfig(**EVERYTHING), pictures()
    traced = tf.function(
        lambda x, n: tf_impl.augmentation.augment(cfg, x, n),
        autograph=False,
        input_signature=[tf.TensorSpec([None, 12, 9, 3], tf.float64), tf.TensorSpec([None, AUGMENTATION], tf.float64)],
    )
    found = in_tensorflow(cfg, images, drawn(7), lambda _, x, n: traced(x, n))
    np.testing.assert_allclose(found, in_tensorflow(cfg, images, drawn(7)), rtol=0, atol=ROUNDING)
    assert traced.get_concrete_function().structured_outputs.shape.as_list() == [None, 12, 9, 3]


@IMPLEMENTATIONS
def test_float32_stays_float32(implementation):
    images, numbers = pictures().astype(np.float32), drawn(7).astype(np.float32)
    found = implementation(DataConfig(**EVERYTHING), images, numbers)
    assert found.dtype == np.float32
    exact = implementation(DataConfig(**EVERYTHING), images.astype(np.float64), numbers.astype(np.float64))
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-4)  # a coordinate of 12 pixels in float32, times contrast


def test_no_gradient_passes_through_augmentation():
    cfg, images = DataConfig(**EVERYTHING), pictures()
    variable = tf.Variable(images)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf_impl.augmentation.augment(cfg, variable, tf.constant(drawn(7))))
    assert tape.gradient(loss, variable) is None
    tensor = torch.from_numpy(images).movedim(-1, 1).requires_grad_()
    assert not torch_impl.augmentation.augment(cfg, tensor, torch.from_numpy(drawn(7))).requires_grad


def test_torch_keeps_channels_last_in_memory():
    images = torch.from_numpy(pictures(5, 12, 9, 3)).movedim(-1, 1)
    found = torch_impl.augmentation.augment(DataConfig(**EVERYTHING), images, torch.from_numpy(drawn(5)))
    assert found.is_contiguous(memory_format=torch.channels_last)
