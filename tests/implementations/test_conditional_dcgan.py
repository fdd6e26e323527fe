"""The conditional DCGAN, each implementation on its own: sizes, ways to tell D the class, scales, attention."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import tf_impl
import torch_impl
from shared_impl.config.presets import ConfigError
from shared_impl.config.systems import ConditionalDCGANConfig
from tf_impl.layers import layers_in

NARROW = {"classes": 3, "embedding": 5}
WAYS = ["map", "projected", "replicated", "auxiliary"]


def numbers(network) -> int:
    """Parameters that gradients reach, in either framework."""
    if isinstance(network, torch.nn.Module):
        return sum(parameter.numel() for parameter in network.parameters())
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_the_generators_make_images_of_any_size(size):
    options = {**NARROW, "nz": 6, "ngf": 1, "nc": 2, "image_size": size, "attention_at": (8,)}
    reference, twin = (implementation.ConditionalDCGANGenerator(**options) for implementation in (tf_impl, torch_impl))
    assert reference.output_shape == (None, size, size, 2) and numbers(reference) == numbers(twin)
    label = torch.tensor([0, 2])
    assert twin(torch.zeros(2, 6), label).shape == twin(torch.zeros(2, 6, 1, 1), label).shape == (2, 2, size, size)
    layers = [(name, layer) for name, layer in layers_in(reference) if name.startswith("body/")]
    names = [name for name, layer in layers if not isinstance(layer, keras.layers.InputLayer)]
    ported = [name.replace(".", "/") for name, _ in twin.named_modules() if name.startswith("body.")]
    assert names == ported


@pytest.mark.parametrize("batchnorm", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_discriminators_take_the_class_or_return_its_logits(way, batchnorm):
    options = {**NARROW, "ndf": 2, "image_size": 32, "label": way, "batchnorm_d": batchnorm, "attention_d": (8,)}
    reference, twin = (
        implementation.ConditionalDCGANDiscriminator(**options) for implementation in (tf_impl, torch_impl)
    )
    assert numbers(reference) == numbers(twin)
    images, label = np.random.RandomState(0).standard_normal((2, 32, 32, 3)).astype(np.float32), np.array([0, 2])
    given = torch.from_numpy(images).movedim(-1, 1)
    if way == "auxiliary":
        for score, named in (reference(images), twin.eval()(given)):
            assert (tuple(score.shape), tuple(named.shape)) == ((2,), (2, 3))
        return
    for judge in (
        lambda classes: reference([images, classes]).numpy(),
        lambda classes: twin(given, _long(classes)).detach().numpy(),
    ):
        twin.eval()
        assert judge(label).shape == (2,)
        changed = judge(np.array([0, 1])) != judge(label)
        assert changed.tolist() == [False, True]


@pytest.mark.parametrize("scales", [2, 3])
def test_each_scale_scores_images_of_half_the_size(scales):
    options = {**NARROW, "ndf": 1, "image_size": 128, "scales": scales}
    reference, twin = (
        implementation.ConditionalDCGANDiscriminator(**options) for implementation in (tf_impl, torch_impl)
    )
    assert reference.output_shape == (None, scales) and numbers(reference) == numbers(twin)
    images = np.random.RandomState(1).standard_normal((2, 128, 128, 3)).astype(np.float32)
    assert twin.eval()(torch.from_numpy(images).movedim(-1, 1), torch.tensor([1, 1])).shape == (2, scales)
    pool = tf.keras.Sequential([reference.get_layer("half_1_pad"), reference.get_layer("half_1")])
    expected = twin.half_1(torch.from_numpy(images).movedim(-1, 1)).movedim(1, -1).numpy()
    np.testing.assert_allclose(
        pool(images).numpy(), expected, atol=1e-6
    )  # means of nine numbers around one, in float32
    same = tf.nn.avg_pool2d(images, 3, 2, "SAME").numpy()
    assert np.abs(same - expected).max() > 0.1, "SAME pads one side only and does not count it"


def test_default_options_are_the_baseline_with_its_large_label_map():
    model = ConditionalDCGANConfig()
    twin = torch_impl.build(model, "discriminator")
    assert twin.scale_0.label_planes.embedding.weight.shape == (6, 65536)
    kinds = [type(module).__name__ for module in twin.scale_0.body]
    assert kinds.count("ParametrizedSpectralConv2D") == 6 and kinds.count("BatchNorm2d") == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"attention_at": (7,)},
            "attention_at has 7: at image_size=256 there are layers of 4, 8, 16, 32, 64, 128 pixels",
        ),
        ({"attention_d": (32,), "image_size": 32}, "attention_d has 32: at image_size=32 there are layers of 4, 8, 16"),
        ({"scales": 2, "label": "auxiliary"}, "the class is named at one scale; use scales=1"),
        ({"scales": 3, "image_size": 64}, "D judges 32x32 pixels or more"),
        ({"label": "none"}, "'map', 'projected', 'replicated' or 'auxiliary'"),
        ({"image_size": 100}, "32, 64, 128 or 256"),
    ],
)
def test_invalid_options_are_rejected_with_advice(options, message):
    from shared_impl.config.presets import checked

    with pytest.raises(ConfigError) as refused:
        checked(ConditionalDCGANConfig, options, where="here")
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_saved_network_loads_with_the_layers_of_this_project_alone(tmp_path):
    network = tf_impl.ConditionalDCGANGenerator(nz=4, image_size=32, ngf=1, attention_at=(8,), **NARROW)
    network.save(tmp_path / "g.keras")
    again = tf.keras.models.load_model(tmp_path / "g.keras")
    z, label = np.ones((2, 4), np.float32), np.array([0, 2])
    np.testing.assert_array_equal(again([z, label]), network([z, label]))


def _long(values) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.int64))
