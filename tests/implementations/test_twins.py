"""Each implementation on its own: options, shapes, sizes, initial distributions, and the layers it does not borrow."""

from __future__ import annotations

import copy
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import tf_impl
import tf_impl.layers
import torch_impl
import torch_impl.layers
from shared_impl.config.systems import DCGANConfig, SoundGANConfig, SpecGANConfig

SPECGAN = {"dim": 2, "nz": 6}
PARAMETERS = {  # of the originals at their defaults, and of Radford et al.'s widths (DCGAN, one channel)
    "SpecGANGenerator": 19_065_345,
    "SpecGANDiscriminator": 17_427_969,
    "DCGANGenerator": 3_574_656,
    "DCGANDiscriminator": 2_763_520,
    "SoundGANGenerator": 47_973_376,
    "SoundGANDiscriminator": 44_729_344,
}
SCHEMAS = {"Spec": SpecGANConfig, "DCGA": DCGANConfig, "Soun": SoundGANConfig}
UPSAMPLINGS = ["zeros", "nearest", "linear", "cubic"]


@pytest.fixture
def float64():
    """Keras builds and computes in float64 within the test."""
    with tf_impl.layers.precision("float64"):
        yield


@pytest.fixture(params=["float64", "float32"])
def floatx(request):
    """Keras builds and computes in either precision, in which LeakyReLU goes ways of its own."""
    with tf_impl.layers.precision(request.param):
        yield request.param


ROUNDINGS = 16  # of the last bit of the largest value, by which sums over a dozen may be off: seen up to 2


def trainable(network) -> int:
    """Parameters that gradients reach, in either framework."""
    if isinstance(network, torch.nn.Module):
        return sum(parameter.numel() for parameter in network.parameters())
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("implementation", [tf_impl, torch_impl])
def test_parameter_count_at_full_size(implementation, name):
    assert trainable(getattr(implementation, name)()) == PARAMETERS[name]


@pytest.mark.parametrize("nc", [1, 3])
@pytest.mark.parametrize("upsample", UPSAMPLINGS)
@pytest.mark.parametrize("kernel_len", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("use_batchnorm", [False, True])
def test_specgan_options_give_the_same_layers_and_shapes(kernel_len, upsample, use_batchnorm, nc):
    options = {"kernel_len": kernel_len, "nc": nc, "use_batchnorm": use_batchnorm}
    ours = tf_impl.SpecGANGenerator(**SPECGAN, **options, upsample=upsample)
    port = torch_impl.SpecGANGenerator(**SPECGAN, **options, upsample=upsample)
    assert [layer.name for layer in ours.layers] == [name for name, _ in port.named_children()]
    assert trainable(ours) == trainable(port)
    assert ours.output_shape == (None, 128, 128, nc)
    assert port(torch.zeros(2, 6)).shape == (2, nc, 128, 128)

    ours = tf_impl.SpecGANDiscriminator(dim=2, **options)
    port = torch_impl.SpecGANDiscriminator(dim=2, **options)
    assert [layer.name for layer in ours.layers] == [name for name, _ in port.named_children()]
    assert trainable(ours) == trainable(port)
    assert ours.output_shape == (None,)
    assert port(torch.zeros(2, nc, 128, 128)).shape == (2,)


@pytest.mark.parametrize("nc", [1, 3])
def test_dcgan_gives_the_same_layers_and_shapes(nc):
    ours, port = tf_impl.DCGANGenerator(6, 2, nc), torch_impl.DCGANGenerator(6, 2, nc)
    assert [layer.name for layer in ours.layers] == [name for name, _ in port.named_children()]
    assert ours.output_shape == (None, 64, 64, nc)
    assert port(torch.zeros(2, 6)).shape == (2, nc, 64, 64)

    ours, port = tf_impl.DCGANDiscriminator(2, nc), torch_impl.DCGANDiscriminator(2, nc)
    assert [layer.name for layer in ours.layers] == [name for name, _ in port.named_children()]
    assert ours.output_shape == (None,)
    assert port(torch.zeros(2, nc, 64, 64)).shape == (2,)


@pytest.mark.parametrize("nc", [1, 3])
@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_the_depth_of_soundgan_follows_the_image_size(size, nc):
    depth = {64: 5, 128: 6, 256: 7, 512: 8}[size]
    ours, port = tf_impl.SoundGANGenerator(6, 1, nc, size), torch_impl.SoundGANGenerator(6, 1, nc, size)
    names = [name for name, _ in port.named_children()]
    assert [layer.name for layer in ours.layers] == names
    assert [name for name in names if name[-1].isdecimal()] == [f"upconv_{i}" for i in range(depth)]
    assert port.upconv_0.weight.shape == (6, size // 8, 4, 4)
    assert ours.output_shape == (None, size, size, nc)
    assert port(torch.zeros(2, 6)).shape == (2, nc, size, size)

    ours, port = tf_impl.SoundGANDiscriminator(1, nc, size), torch_impl.SoundGANDiscriminator(1, nc, size)
    names = [name for name, _ in port.named_children()]
    assert [layer.name for layer in ours.layers] == names
    assert sum("downconv" in name for name in names) == 2 * (depth - 1)
    assert port.output.weight.shape == (1, size // 8, 4, 4)
    assert ours.output_shape == (None,)
    assert port(torch.zeros(2, nc, size, size)).shape == (2,)


@pytest.mark.parametrize(("size", "scores"), [(256, 25), (512, 169)])
def test_soundgan_patch_discriminators_return_a_score_a_patch(size, scores):
    ours = tf_impl.SoundGANDiscriminator(1, 1, size, patch=True)
    port = torch_impl.SoundGANDiscriminator(1, 1, size, patch=True)
    assert [layer.name for layer in ours.layers] == [name for name, _ in port.named_children()]
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in port) == 6
    assert ours.output_shape == (None, scores)
    assert port(torch.zeros(2, 1, size, size)).shape == (2, scores)


def test_the_original_soundgan_gives_one_score_at_128_and_25_at_256():
    """The document's discriminator, as it stands there: it says one number, its generator makes 256x256."""
    widths = [1, 2, 4, 8, 16, 32]
    convolutions = [torch.nn.Conv2d(a, b, 4, 2, 1, bias=False) for a, b in zip(widths, widths[1:], strict=False)]
    original = torch.nn.Sequential(*convolutions, torch.nn.Conv2d(32, 1, 4, 1, 0, bias=False), torch.nn.Flatten())
    assert original(torch.zeros(2, 1, 128, 128)).shape == (2, 1)
    assert original(torch.zeros(2, 1, 256, 256)).shape == (2, 25)


def test_soundgan_patch_scores_are_in_row_order():
    """What lies in a corner moves the score of that corner alone: the first is top left, the fifth top right."""
    torch.manual_seed(0)
    port = torch_impl.SoundGANDiscriminator(2, 1, 256, patch=True)
    ours = tf_impl.SoundGANDiscriminator(2, 1, 256, patch=True)
    for layer in ours.layers:
        if layer.weights:
            layer.kernel.assign(getattr(port, layer.name).weight.detach().numpy().transpose(2, 3, 1, 0))
    for (row, column), place in {(0, 0): 0, (0, 255): 4, (255, 0): 20, (255, 255): 24}.items():
        x = np.zeros((1, 256, 256, 1), np.float32)
        x[0, row, column] = 1.0
        there = port(torch.tensor(x).movedim(-1, 1)).detach().numpy()
        for scores in (ours(x).numpy(), there):
            assert np.flatnonzero(scores[0]).tolist() == [place]


@pytest.mark.parametrize("name", ["SpecGANGenerator", "DCGANGenerator", "SoundGANGenerator"])
def test_torch_takes_latents_as_vectors_and_as_images(name):
    network = getattr(torch_impl, name)(nz=6, **({"dim": 2} if name.startswith("Spec") else {"ngf": 2}))
    z = torch.rand(2, 6)
    assert torch.equal(network(z), network(z[:, :, None, None]))


@pytest.mark.parametrize("name", PARAMETERS)
def test_both_implementations_and_the_schema_agree_on_arguments_and_defaults(name):
    def arguments(implementation):
        parameters = inspect.signature(getattr(implementation, name)).parameters.values()
        return {parameter.name: parameter.default for parameter in parameters}

    schema = SCHEMAS[name[:4]]
    ours, port = arguments(tf_impl), arguments(torch_impl)
    assert list(port)[: len(ours)] == list(ours)
    assert set(port) - set(ours) <= {"padding"}
    assert port == {key: schema.model_fields[key].default for key in port}


@pytest.mark.parametrize(
    ("implementation", "name", "options", "named"),
    [
        (tf_impl, "SpecGANGenerator", {"upsample": "neares"}, "nearest"),
        (torch_impl, "SpecGANGenerator", {"upsample": "lin"}, "'linear' or 'cubic'"),
        (tf_impl, "SpecGANDiscriminator", {"kernel_len": 8}, "3, 4, 5, 6 or 7"),
        (torch_impl, "SpecGANDiscriminator", {"padding": "valid"}, "'same' or 'symmetric'"),
        (torch_impl, "SpecGANDiscriminator", {"init": "framework"}, "'glorot' or 'normal'"),
        (tf_impl, "DCGANGenerator", {"init": "glorot"}, "'normal' or 'framework'"),
        (torch_impl, "DCGANDiscriminator", {"nc": 0}, "nc is 0"),
        (torch_impl, "SpecGANGenerator", {"padding": "symmetric", "upsample": "cubic", "kernel_len": 4}, "odd"),
        (tf_impl, "SoundGANGenerator", {"image_size": 96}, "64, 128, 256 or 512"),
        (torch_impl, "SoundGANDiscriminator", {"image_size": 128, "patch": True}, "an image_size of 256 or 512"),
    ],
)
def test_invalid_options_are_rejected_with_the_valid_ones(implementation, name, options, named):
    with pytest.raises(ValueError, match=named) as caught:
        getattr(implementation, name)(**options)
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize("implementation", [tf_impl, torch_impl])
def test_build_takes_a_model_section(implementation):
    model = SpecGANConfig(dim=2, nz=6, padding="symmetric", upsample="linear")
    assert type(implementation.build(model, "generator")).__name__ == "SpecGANGenerator"
    assert type(implementation.build(DCGANConfig(ngf=2, ndf=2), "discriminator")).__name__ == "DCGANDiscriminator"
    with pytest.raises(ValueError, match="generator, discriminator"):
        implementation.build(model, "critic")


def kernels(network) -> dict[str, np.ndarray]:
    """Every kernel and batch-norm scale, by layer name."""
    if isinstance(network, torch.nn.Module):
        return {key[: -len(".weight")]: p.detach().numpy() for key, p in network.named_parameters() if "weight" in key}
    drawn = {layer.name: getattr(layer, "gamma", None) for layer in network.layers}
    drawn |= {layer.name: layer.kernel for layer in network.layers if hasattr(layer, "kernel")}
    return {name: value.numpy() for name, value in drawn.items() if value is not None}


def biases(network) -> list[np.ndarray]:
    """Every bias and batch-norm offset."""
    if isinstance(network, torch.nn.Module):
        return [p.detach().numpy() for key, p in network.named_parameters() if "bias" in key]
    return [variable.numpy() for variable in network.trainable_variables if variable.name in ("bias", "beta")]


def deviation(name: str, init: str, kernel: np.ndarray) -> float:
    """The standard deviation that the named distribution has for this kernel (same fans in both layouts)."""
    size = int(np.prod(kernel.shape))
    if init == "normal":
        return 0.02
    channels = sorted(kernel.shape)[-2:] if name not in ("z_project", "output") else kernel.shape
    if init == "glorot":
        area = size / np.prod(channels)
        return float(np.sqrt(2 / (sum(channels) * area)))
    fan_in = size / max(channels)  # of wider outputs, and of transposed ones, which narrow, as torch counts it
    return float(np.sqrt(1 / (3 * fan_in)))  # 1/3 of the limit squared, limit 1/sqrt(fan_in)


@pytest.mark.parametrize("implementation", [tf_impl, torch_impl])
@pytest.mark.parametrize(
    ("name", "options", "init"),
    [
        ("SpecGANGenerator", {"dim": 8, "use_batchnorm": True}, "glorot"),
        ("SpecGANGenerator", {"dim": 8, "use_batchnorm": True}, "normal"),
        ("SpecGANDiscriminator", {"dim": 8}, "glorot"),
        ("SpecGANDiscriminator", {"dim": 8}, "normal"),
        ("DCGANGenerator", {"ngf": 16, "nz": 200}, "normal"),
        ("DCGANGenerator", {"ngf": 16, "nz": 200}, "framework"),
        ("SoundGANGenerator", {"ngf": 16, "nz": 200, "image_size": 64}, "normal"),
        ("SoundGANGenerator", {"ngf": 16, "nz": 200, "image_size": 64}, "framework"),
        ("SoundGANDiscriminator", {"ndf": 8, "image_size": 64}, "framework"),
    ],
)
def test_initial_distributions(implementation, name, options, init):
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)
    network = getattr(implementation, name)(**options, init=init)
    for layer, kernel in kernels(network).items():
        if layer.endswith("_bn"):
            assert abs(kernel.mean() - 1) < 0.02
            assert (kernel.std() > 0) == (init == "normal")
        elif kernel.size > 2000:  # the sampling error of a standard deviation is about 1/sqrt(2 n): under 1.6 %
            expected = deviation(layer, init, kernel)
            assert abs(kernel.std() / expected - 1) < 0.06, layer
            assert abs(kernel.mean()) < 0.06 * expected, layer
            assert (np.abs(kernel).max() > 1.8 * expected) == (init == "normal"), layer
    assert not any(np.any(bias) for bias in biases(network))


def test_keras_kernels_of_equal_shape_get_different_values():
    network = tf_impl.SpecGANGenerator(**SPECGAN, use_batchnorm=True, init="normal")
    first, second = (network.get_layer(f"{name}_bn").gamma.numpy()[:4] for name in ("upconv_0", "upconv_1"))
    assert not np.array_equal(first, second)


LEGACY = {
    "nearest": tf.compat.v1.image.resize_nearest_neighbor,
    "linear": tf.compat.v1.image.resize_bilinear,
    "cubic": tf.compat.v1.image.resize_bicubic,
}


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 1, 4, 1), (1, 2, 3, 2)])
@pytest.mark.parametrize("mode", LEGACY)
def test_legacy_upsample_equals_the_resize_of_tf1(mode, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    size = [2 * shape[1], 2 * shape[2]]
    expected = LEGACY[mode](x, size, align_corners=False, half_pixel_centers=False).numpy()
    ours = tf_impl.layers.LegacyUpsample(mode)(x).numpy()
    port = torch_impl.layers.LegacyUpsample(mode)(torch.tensor(x).movedim(-1, 1)).movedim(1, -1).numpy()
    limit = 4 * np.finfo(np.float32).eps * np.abs(x).max()  # four float32 products and sums per axis
    np.testing.assert_allclose(ours, expected, rtol=0, atol=limit)
    np.testing.assert_allclose(port, expected, rtol=0, atol=limit)


def test_a_modern_resize_differs_from_legacy_upsample():
    x = torch.rand(1, 1, 4, 4)
    modern = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    assert (modern - torch_impl.layers.LegacyUpsample("linear")(x)).abs().max() > 0.01


@pytest.mark.parametrize("layer", [tf_impl.layers.LegacyUpsample, torch_impl.layers.LegacyUpsample])
def test_legacy_upsample_rejects_an_unknown_mode_and_names_the_valid_ones(layer):
    with pytest.raises(ValueError, match="nearest, linear, cubic"):
        layer("area")


@pytest.mark.parametrize("size", [4, 5, 8, 9])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [3, 4, 5, 6, 7])
def test_torch_same_padding_equals_tensorflow(kernel, stride, size, float64):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, size, size + 1, 3))
    image = torch.tensor(x).movedim(-1, 1)

    weight = rng.standard_normal((kernel, kernel, 3, 2))
    conv = torch_impl.layers.Conv2d(3, 2, kernel, stride).double()
    conv.load_state_dict({"weight": torch.tensor(weight.transpose(3, 2, 0, 1)), "bias": torch.zeros(2)})
    expected = tf.nn.conv2d(x, weight, stride, "SAME").numpy()
    np.testing.assert_allclose(conv(image).detach().movedim(1, -1).numpy(), expected, atol=1e-12)  # float64 rounding

    weight = rng.standard_normal((kernel, kernel, 2, 3))
    conv = torch_impl.layers.ConvTranspose2d(3, 2, kernel, stride).double()
    conv.load_state_dict({"weight": torch.tensor(weight.transpose(3, 2, 0, 1)), "bias": torch.zeros(2)})
    expected = tf.nn.conv2d_transpose(x, weight, [2, size * stride, (size + 1) * stride, 2], stride, "SAME").numpy()
    np.testing.assert_allclose(conv(image).detach().movedim(1, -1).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("kernel", "equal"), [(3, False), (4, True), (5, False), (6, True), (7, False)])
def test_symmetric_padding_has_the_shapes_of_same_and_its_values_only_where_even(kernel, equal):
    x = torch.rand(1, 2, 8, 8)
    for layer in (torch_impl.layers.Conv2d, torch_impl.layers.ConvTranspose2d):
        same, symmetric = (layer(2, 3, kernel, 2, padding=padding) for padding in ("same", "symmetric"))
        symmetric.load_state_dict(same.state_dict())
        assert same(x).shape == symmetric(x).shape
        assert torch.allclose(same(x), symmetric(x), atol=1e-6) == equal


def test_symmetric_padding_is_the_literal_recipe():
    port = torch_impl.SpecGANGenerator(**SPECGAN, padding="symmetric")
    assert (port.upconv_0.padding, port.upconv_0.output_padding) == ((2, 2), (1, 1))
    assert torch_impl.SpecGANDiscriminator(dim=2, padding="symmetric").downconv_0.padding == (2, 2)


def test_an_unknown_padding_is_rejected():
    with pytest.raises(ValueError, match="odd kernel"):
        torch_impl.layers.Conv2d(1, 1, 4, 1, padding="symmetric")
    with pytest.raises(ValueError, match="same, symmetric"):
        torch_impl.layers.ConvTranspose2d(1, 1, 4, 2, padding="valid")
    with pytest.raises(ValueError, match="no smaller than the stride"):
        torch_impl.layers.ConvTranspose2d(1, 1, 2, 3)


def test_running_variance_is_unbiased(floatx):
    x = np.random.default_rng(0).standard_normal((3, 2, 2, 4)).astype(floatx)
    ours = tf_impl.layers.BatchNorm(momentum=0.9, epsilon=1e-5)
    port = torch.nn.BatchNorm2d(4, momentum=0.1, eps=1e-5).double()
    seen = port(torch.tensor(x).double().movedim(-1, 1)).detach().movedim(1, -1).numpy()
    rounding = ROUNDINGS * np.finfo(floatx).eps
    np.testing.assert_allclose(ours(x, training=True).numpy(), seen, atol=rounding * np.abs(seen).max())
    np.testing.assert_allclose(ours.moving_mean.numpy(), port.running_mean.numpy(), atol=rounding)
    np.testing.assert_allclose(ours.moving_variance.numpy(), port.running_var.numpy(), atol=rounding)
    biased = keras.layers.BatchNormalization(momentum=0.9)
    biased(x, training=True)
    assert np.abs(biased.moving_variance.numpy() - port.running_var.numpy()).max() > 1e-3


@pytest.mark.parametrize("epsilon", [1e-3, 1e-5, 1e-7])
def test_batch_norm_uses_the_epsilon_it_is_given(epsilon, floatx):
    """Of inputs so small that it decides the outcome: TensorFlow's fused op long took none below 1.001e-5."""
    x = np.sqrt(epsilon) * np.random.default_rng(0).standard_normal((3, 2, 2, 4)).astype(floatx)
    seen = torch.nn.BatchNorm2d(4, eps=epsilon).double()(torch.tensor(x).double().movedim(-1, 1)).detach()
    ours = tf_impl.layers.BatchNorm(momentum=0.9, epsilon=epsilon)(x, training=True).numpy()
    rounding = ROUNDINGS * np.finfo(floatx).eps * float(seen.abs().max())
    np.testing.assert_allclose(ours, seen.movedim(1, -1).numpy(), rtol=0, atol=rounding)


def test_running_variance_is_unbiased_in_a_graph_of_unknown_batch(float64):
    x = np.random.default_rng(0).standard_normal((3, 2, 2, 4))
    eager, traced = (tf_impl.layers.BatchNorm(momentum=0.9, epsilon=1e-5) for _ in range(2))
    eager(x, training=True)
    traced.build(x.shape)
    tf.function(lambda t: traced(t, training=True), input_signature=[tf.TensorSpec((None, 2, 2, 4), tf.float64)])(x)
    np.testing.assert_allclose(traced.moving_variance.numpy(), eager.moving_variance.numpy(), atol=1e-15)


def test_a_penalty_through_batch_norm_has_torchs_gradient(floatx):
    # without weights, slopes sum to zero
    x, weights = np.random.default_rng(0).standard_normal((2, 3, 2, 2, 4)).astype(floatx)
    ours = tf_impl.layers.BatchNorm(momentum=0.9, epsilon=1e-5)
    tensor = tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(tensor)
        with tf.GradientTape() as inner:
            inner.watch(tensor)
            cubes = tf.reduce_sum(ours(tensor, training=True) ** 3)
        penalty = tf.reduce_sum(weights * inner.gradient(cubes, tensor))
    port = torch.tensor(x).double().movedim(-1, 1).requires_grad_()
    norm = torch.nn.BatchNorm2d(4, momentum=0.1, eps=1e-5).double()
    (slope,) = torch.autograd.grad((norm(port) ** 3).sum(), port, create_graph=True)
    (expected,) = torch.autograd.grad((torch.tensor(weights).movedim(-1, 1) * slope).sum(), port)
    rounding = ROUNDINGS * np.finfo(floatx).eps * float(expected.abs().max())
    got = outer.gradient(penalty, tensor).numpy()
    np.testing.assert_allclose(got, expected.movedim(1, -1).numpy(), rtol=0, atol=rounding)


def test_untracked_batch_norm_ignores_the_mode_and_keeps_nothing():
    x = np.random.default_rng(0).standard_normal((3, 128, 128, 1)).astype(np.float32)
    ours = tf_impl.SpecGANDiscriminator(dim=2, use_batchnorm=True)
    assert np.array_equal(ours(x, training=True), ours(x, training=False))
    assert not ours.non_trainable_variables
    port, image = torch_impl.SpecGANDiscriminator(dim=2, use_batchnorm=True), torch.tensor(x).movedim(-1, 1)
    assert torch.equal(port.train()(image), port.eval()(image))
    assert not list(port.buffers())


@pytest.mark.parametrize("track", [True, False])
def test_one_value_per_channel_is_rejected(track):
    x = np.ones((1, 1, 1, 3), np.float32)
    ours = tf_impl.layers.BatchNorm(momentum=0.9, epsilon=1e-5, track=track, name="norm")
    with pytest.raises(ValueError, match="norm: batch statistics need more than one value per channel"):
        ours(x, training=True)
    graph = tf.function(lambda t: ours(t, training=True), input_signature=[tf.TensorSpec((None, 1, 1, 3))])
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than one value per channel"):
        graph(x)
    port = torch.nn.BatchNorm2d(3, track_running_stats=track)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        port(torch.ones(1, 3, 1, 1))


def test_leaky_relu_keeps_the_slope_and_its_gradient_at_zero(floatx):
    x = np.array([-1.0, 0.0, 2.0], floatx)
    layer = tf_impl.layers.LeakyReLU(0.2)
    slope = np.array(0.2, floatx)
    with tf.GradientTape() as tape:
        tensor = tf.constant(x)
        tape.watch(tensor)
        y = layer(tensor)
    assert np.array_equal(y, [-slope, 0.0, 2.0])
    assert np.array_equal(tape.gradient(y, tensor), [slope, slope, 1.0])
    port = torch.tensor(x, requires_grad=True)
    torch.nn.LeakyReLU(0.2)(port).sum().backward()
    assert np.array_equal(port.grad, [slope, slope, 1.0])


def test_stock_leaky_relu_rounds_its_slope(float64):
    x = np.array([-1.0])
    assert not np.array_equal(keras.layers.LeakyReLU(0.2)(x), tf_impl.layers.LeakyReLU(0.2)(x))


def test_leaky_relu_has_no_second_derivative(floatx):
    x, weights = (tf.constant(values, floatx) for values in ([-1.0, 2.0], [3.0, 5.0]))
    with tf.GradientTape() as outer:
        outer.watch([x, weights])
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(weights * tf_impl.layers.LeakyReLU(0.2)(x))
        slope = inner.gradient(y, x)
    at_x, at_weights = outer.gradient(slope, [x, weights])
    assert at_x is None  # not zeros, which would go on through every layer below
    assert np.array_equal(at_weights, np.array([0.2, 1.0], floatx))


def test_everything_computes_in_float64(float64):
    options = {"use_batchnorm": True, "upsample": "cubic"}
    image = tf_impl.SpecGANGenerator(**SPECGAN, **options)(np.ones((2, 6)), training=True)
    assert image.dtype == tf.float64
    assert tf_impl.SpecGANDiscriminator(dim=2, use_batchnorm=True)(image).dtype == tf.float64
    assert torch_impl.SpecGANGenerator(**SPECGAN, **options).double()(torch.ones(2, 6).double()).dtype == torch.float64


@pytest.mark.parametrize("options", [{"use_batchnorm": True, "upsample": "linear"}, {}])
def test_keras_networks_survive_cloning_copying_and_saving(options, tmp_path):
    z = np.random.default_rng(0).uniform(-1, 1, (2, 6)).astype(np.float32)
    network = tf_impl.SpecGANGenerator(**SPECGAN, **options)
    expected = network(z).numpy()
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    network.save(tmp_path / "generator.keras")
    for other in (clone, copy.deepcopy(network), keras.saving.load_model(tmp_path / "generator.keras")):
        assert np.array_equal(other(z), expected)
    score = tf_impl.SpecGANDiscriminator(dim=2, use_batchnorm=True)
    assert np.array_equal(copy.deepcopy(score)(expected), score(expected))
