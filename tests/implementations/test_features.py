"""VGG19 features in both implementations: every file of weights, features, losses and gradients agree."""

from __future__ import annotations

import shutil
import sys
import zipfile
from functools import cache

import h5py
import keras
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf
import torch
import torch.nn.functional as F
from torch import nn

import parity
import tf_impl.features
import torch_impl.features
from parity.__main__ import run
from parity.systems.conversion import features as carrying
from parity.verdict import NotFaithful
from shared_impl.config.loss import LossConfig
from shared_impl.config.presets import ConfigError
from shared_impl.features import vgg, vgg_files
from tf_impl.layers import precision

IMPLEMENTATIONS = {"tensorflow": tf_impl.features, "torch": torch_impl.features}
FILES = {  # and how the weights in it want their images
    "keras2.h5": "caffe",
    "keras2_model.h5": "caffe",
    "keras3.weights.h5": "caffe",
    "keras3.keras": "caffe",
    "torchvision.safetensors": "torch",
    "torchvision.pth": "torch",
}


@cache
def drawn() -> vgg.Weights:
    """Weights under which features stay as large as images (He et al. 2015, arXiv:1502.01852), and biases."""
    rng, arrays = np.random.default_rng(0), {}
    for layer in vgg.CONVOLUTIONS:
        kernel = rng.standard_normal((3, 3, layer.inputs, layer.outputs), np.float32) * np.sqrt(2 / 9 / layer.inputs)
        arrays[f"{layer.name}/kernel"] = kernel.astype(np.float32)
        arrays[f"{layer.name}/bias"] = rng.standard_normal(layer.outputs, np.float32) / 10
    return vgg.weights(None, arrays, "torch")


@cache
def application() -> keras.Model:
    """Keras's own network with these weights."""
    with precision("float32"):
        model = keras.applications.VGG19(weights=None, include_top=False)
    for layer in vgg.CONVOLUTIONS:
        model.get_layer(layer.name).set_weights([drawn().arrays[name] for name in layer.shapes])
    return model


def torchvision() -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(array) for name, array in drawn().torchvision().items()}


def keras2(group, weight_names=("{}_W_1:0", "{}_b_1:0")):
    """As Keras 2 lays its files out, with the names of the published one."""
    for layer in vgg.CONVOLUTIONS:
        own = group.create_group(layer.name)
        names = [name.format(layer.name) for name in weight_names]
        own.attrs["weight_names"] = np.array(names, "S")
        for name, array in zip(names, layer.shapes, strict=True):
            own[name] = drawn().arrays[array]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("vgg19")
    tensors = {name: torch.from_numpy(array) for name, array in torchvision().items()}
    with h5py.File(place / "keras2.h5", "w") as file:
        keras2(file)
    with h5py.File(place / "keras2_model.h5", "w") as file:
        keras2(file.create_group("model_weights"), ("{0}/kernel:0", "{0}/bias:0"))
    application().save_weights(place / "keras3.weights.h5")
    application().save(place / "keras3.keras")
    safetensors.numpy.save_file(torchvision(), place / "torchvision.safetensors")
    torch.save(tensors, place / "torchvision.pth")
    yield place
    shutil.rmtree(place)  # half a gigabyte


def images(channels=3, dtype="float64", side=32):
    return np.random.default_rng(1).uniform(-1, 1, (2, side, side, channels)).astype(dtype)


def first(x):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def last(x):
    return np.moveaxis(x.detach().float().numpy() if x.dtype == torch.bfloat16 else x.detach().numpy(), 1, -1)


network = cache(lambda implementation, name: NETWORKS[implementation](drawn(), name))
NETWORKS = {implementation: module._network for implementation, module in IMPLEMENTATIONS.items()}


def made(implementation, images="torch", name="float64"):
    """Features whose network is built once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IMPLEMENTATIONS[implementation], "_network", lambda weights, name: network(implementation, name))
        return IMPLEMENTATIONS[implementation].Features(vgg.weights(None, drawn().arrays, images), name)


def of(implementation, x, **options):
    """Features ``[B, h, w, C]`` of images ``[B, H, W, C]``."""
    if implementation == "tensorflow":
        return made(implementation, **options)(tf.constant(x)).numpy()
    return last(made(implementation, **options)(first(x)))


# Files


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", FILES)
def test_every_file_format_of_weights_gives_the_same_network(folder, implementation, name):
    if implementation == "tensorflow" and name.endswith(vgg_files.PICKLES):
        advice = rf"`parity convert .*{name} .*\.safetensors` and name that file"
        with pytest.raises(ConfigError, match=advice) as error:
            IMPLEMENTATIONS[implementation].read(folder / name)
        assert "a pickle, which torch alone reads" in str(error.value)
        return
    read = IMPLEMENTATIONS[implementation].read(folder / name)
    assert (read.path, read.images, list(read.arrays)) == (folder / name, FILES[name], list(drawn().arrays))
    assert [key for key, array in read.arrays.items() if array.tobytes() != drawn().arrays[key].tobytes()] == []


def test_files_of_the_feature_layers_alone_are_read():
    """``vgg19().features[:36].state_dict()``."""
    tensors = {name.removeprefix("features."): array for name, array in torchvision().items()}
    assert all((vgg.from_torchvision(tensors)[name] == array).all() for name, array in drawn().arrays.items())


def few(path, **changes):
    """A file that lacks most of VGG19, in the format that its suffix tells."""
    arrays = {"features.0.weight": np.ones((64, 3, 3, 3), np.float32), "features.0.bias": np.ones(64, np.float32)}
    arrays |= changes
    if path.suffix == ".safetensors":
        safetensors.numpy.save_file(arrays, path)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            own = file.create_group("block1_conv1")
            own.attrs["weight_names"] = ["kernel", "bias"]
            own["kernel"], own["bias"] = np.ones((3, 3, 3, 64), "f"), np.ones(64, "f")
    else:
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)


def broken(path):
    path.write_bytes(b"not weights at all" * 100)


def cut(path):
    few(path)
    path.write_bytes(path.read_bytes()[:-300])


MISSING = r"not VGG19's weights: block1_conv2/kernel is missing; .* and 27 more\. Give the file of keras\.applications"
NARROW = r"block1_conv1/kernel: got shape \[3, 3, 3, 8\], expected \[3, 3, 3, 64\]"
FAULTS = {
    "absent.h5": (lambda path: None, "no such file. Give the file of keras.applications.VGG19's weights"),
    "folder.keras": (lambda path: path.mkdir(), "a folder. Give"),
    "vgg19.npz": (broken, r"unknown suffix '.npz'; valid: .h5, .keras, .safetensors, .pth, .pt"),
    **{f"broken{suffix}": (broken, f"cannot be read as {suffix}: ") for suffix in vgg_files.SUFFIXES},
    **{f"cut{suffix}": (cut, f"cannot be read as {suffix}: ") for suffix in (".h5", ".safetensors", ".pth")},
    **{f"few{suffix}": (few, MISSING) for suffix in (".h5", ".safetensors", ".pth")},
    "narrow.safetensors": (
        lambda path: few(path, **{"features.0.weight": np.ones((8, 3, 3, 3), np.float32)}),
        NARROW,
    ),
    "exact.safetensors": (
        lambda path: few(path, **{"features.0.bias": np.ones(64)}),
        "block1_conv1/bias: got float64, expected float32 or float16",
    ),
    "nan.safetensors": (
        lambda path: few(path, **{"features.0.bias": np.full(64, np.nan, np.float32)}),
        "block1_conv1/bias holds NaN or infinity",
    ),
    "flat.pth": (
        lambda path: few(path, **{"features.0.weight": np.ones(3, np.float32)}),
        "block1_conv1/kernel is miss",
    ),
    "model.pth": (lambda path: torch.save(nn.Linear(1, 1), path), r"save model\.state_dict\(\), not the model"),
    "list.pt": (lambda path: torch.save([1, 2], path), "it holds a list, expected a state dict"),
    "zip.keras": (lambda path: zipfile.ZipFile(path, "w").close(), "no item named 'model.weights.h5'"),
    "images.safetensors": (
        lambda path: safetensors.numpy.save_file({"x": np.ones(1)}, path, {"images": "tf"}),
        "wants images as 'tf'; valid: caffe, torch",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_files_without_vgg19_weights_are_rejected(tmp_path, name):
    make, message = FAULTS[name]
    make(tmp_path / name)
    for implementation in IMPLEMENTATIONS if not name.endswith(vgg_files.PICKLES) else ["torch"]:
        with pytest.raises(ConfigError, match=message) as error:
            IMPLEMENTATIONS[implementation].load(
                LossConfig(kind="dcgan", perceptual_weight=1, features=str(tmp_path / name))
            )
        assert str(error.value).startswith(f"loss.features={tmp_path / name}: ")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_missing_features_file_name_is_rejected(implementation):
    with pytest.raises(ConfigError, match="loss.features is not set: name the file"):
        IMPLEMENTATIONS[implementation].load(LossConfig(kind="dcgan"))


def test_without_h5py_the_error_says_what_to_install(tmp_path, monkeypatch):
    few(tmp_path / "vgg19.weights.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        ConfigError, match=r"needs h5py.*: pip install h5py, or .*`parity convert .*vgg19\.safetensors`"
    ):
        torch_impl.features.read(tmp_path / "vgg19.weights.h5")


def test_layer_names_and_shapes_are_those_of_keras_and_torchvision():
    plan = [layer for count, width in vgg.BLOCKS for layer in [*[width] * count, "M"]]  # torchvision's cfgs["E"]
    features = [kind for width in plan for kind in (["M"] if width == "M" else [width, "relu"])]
    assert [(c.feature, c.outputs) for c in vgg.CONVOLUTIONS] == [
        (place, width) for place, width in enumerate(features) if isinstance(width, int)
    ]
    assert features[:36][-1] == "relu"  # the document's features[:36] end in the last ReLU
    assert features[36:] == ["M"]
    named = [layer.name for layer in application().layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.name for layer in vgg.CONVOLUTIONS] == named
    assert sum(np.prod(shape) for c in vgg.CONVOLUTIONS for shape in c.shapes.values()) == 20_024_384


# Features

ROUNDING = 1e-12  # of the largest feature, in float64


def near(actual, expected, limit=ROUNDING):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= limit * np.abs(expected).max()
    assert np.abs(expected).max() > 0.1


def test_features_equal_those_of_keras_applications():
    x = images()
    with precision("float64"):
        own = keras.applications.VGG19(weights=None, include_top=False)
        own.set_weights(application().get_weights())
        inputs = keras.applications.vgg19.preprocess_input((x + 1) * 127.5)
    expected = keras.Model(own.inputs, own.get_layer("block5_conv4").output)([inputs]).numpy()
    for implementation in IMPLEMENTATIONS:
        near(of(implementation, x, images="caffe"), expected)


def test_features_equal_those_of_torchvision():
    """Its ``features[:36]`` and its transforms, as the document chose them."""
    layers = []
    for count, width in vgg.BLOCKS:
        for _ in range(count):
            layers += [nn.LazyConv2d(width, 3, padding=1), nn.ReLU()]
        layers += [nn.MaxPool2d(2, 2)]
    own = nn.Sequential(*layers)[:36].double()
    x = first(images())
    own(x)
    own.load_state_dict(
        {name.removeprefix("features."): torch.from_numpy(array) for name, array in torchvision().items()}
    )
    mean, std = (x.new_tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    expected = last(own((x / 2 + 0.5 - mean) / std))
    for implementation in IMPLEMENTATIONS:
        near(of(implementation, images()), expected)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_grey_image_gives_the_features_of_three_equal_channels(implementation):
    grey = images(1)
    near(of(implementation, grey), of(implementation, np.repeat(grey, 3, -1)), 0)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("name", "dtype", "limit"), [("float32", "float32", 1e-5), ("bfloat16", "float32", 0.05)])
def test_features_come_in_the_dtype_of_images(implementation, name, dtype, limit):
    """float32 rounds by 6e-8 and bfloat16 by 4e-3 in each of 16 layers."""
    x, exact = images(dtype=dtype), of("torch", images(dtype=dtype).astype(np.float64))
    found = of(implementation, x, name=name)
    assert found.dtype == dtype
    near(found, exact.astype(dtype), limit)
    assert np.abs(found - exact).max() > limit / 1000 * np.abs(exact).max()  # it does compute in that precision


# Losses


def taken(implementation, loss, *arrays):
    """A scalar of arrays ``[B, H, W, C]`` and its gradient by the first."""
    if implementation == "tensorflow":
        variables = [tf.constant(x) for x in arrays]
        with tf.GradientTape() as tape:
            tape.watch(variables[0])
            value = loss(*variables)
        return value.numpy().item(), tape.gradient(value, variables[0]).numpy()
    variables = [first(x) for x in arrays]
    value = loss(variables[0].requires_grad_(), *variables[1:])
    value.backward()
    return value.item(), last(variables[0].grad)


def original_gram(x):
    b, c, h, w = x.size()
    features = x.view(b, c, h * w)
    return torch.bmm(features, features.transpose(1, 2)) / (c * h * w)


ORIGINAL = {
    "perceptual_loss": F.l1_loss,
    "texture_loss": lambda fake, real: F.l1_loss(original_gram(fake), original_gram(real)),
}


@pytest.mark.parametrize("name", ORIGINAL)
def test_losses_equal_those_of_the_document(name):
    fake, real = np.random.default_rng(2).normal(size=(2, 3, 5, 4, 7))  # [B, h, w, C]
    expected, slope = taken("torch", ORIGINAL[name], fake, real)
    for implementation in IMPLEMENTATIONS:
        value, gradient = taken(implementation, getattr(IMPLEMENTATIONS[implementation], name), fake, real)
        assert value == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(gradient, slope, rtol=1e-12, atol=1e-16)
    rows = [x.reshape(3, 20, 7) for x in (fake, real)]
    grams = [np.einsum("bpi,bpj->bij", x, x) / (7 * 5 * 4) for x in rows]
    plain = {"perceptual_loss": np.abs(fake - real).mean(), "texture_loss": np.abs(grams[0] - grams[1]).mean()}
    assert expected == pytest.approx(plain[name], rel=1e-14)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", ORIGINAL)
def test_equal_features_have_zero_loss_and_gradient(implementation, name):
    x = images()
    value, gradient = taken(implementation, getattr(IMPLEMENTATIONS[implementation], name), x, x)
    assert (value, np.abs(gradient).max()) == (0, 0)


@pytest.mark.parametrize("kind", vgg.NORMALISATIONS)
@pytest.mark.parametrize("name", ORIGINAL)
def test_gradients_at_images_agree_between_frameworks(name, kind):
    fake, real = images(1), images(1)[::-1].copy()

    def loss_and_gradient(implementation):
        features, loss = made(implementation, kind), getattr(IMPLEMENTATIONS[implementation], name)
        return taken(implementation, lambda f, r: loss(features(f), features(r)), fake, real)

    (value, gradient), (ported, own) = map(loss_and_gradient, IMPLEMENTATIONS)
    assert ported == pytest.approx(value, rel=1e-12)
    assert np.abs(own - gradient).max() <= 1e-12 * np.abs(gradient).max()
    assert np.abs(gradient).min() > 0


def test_the_network_is_frozen():
    assert made("tensorflow").network.trainable_variables == []
    assert [p for p in made("torch").parameters() if p.requires_grad] == []


# Across


def test_the_networks_pass_verification_and_weights_survive_a_round_trip():
    reference, port = tf_impl.features.VGG19(2), torch_impl.features.VGG19(2)
    x = np.random.default_rng(3).normal(size=(2, 32, 48, 3))
    verdict = parity.verify(reference, port, [x])
    assert verdict.passed, verdict.to_text()
    assert verdict.coverage.judged == verdict.coverage.total == 36
    parity.copy_to_torch(reference, port, inputs=[x])
    kept, fresh = reference.get_weights(), tf_impl.features.VGG19(2)
    parity.copy_to_keras(port, fresh, inputs=[x])
    assert [a.tobytes() for a in fresh.get_weights()] == [a.tobytes() for a in kept]


def test_a_wrong_layer_fails_verification():
    port = torch_impl.features.VGG19(2)
    port.block3_pool = nn.AvgPool2d(2)
    verdict = parity.verify(tf_impl.features.VGG19(2), port, [images()], rungs=["structure", "forward"])
    assert not verdict.passed
    assert "block3_pool" in verdict.to_text()


def test_a_torch_file_is_converted_on_the_command_line(folder, tmp_path, capsys):
    target = tmp_path / "vgg19.safetensors"
    assert run(["convert", str(folder / "torchvision.pth"), str(target)]) == 0
    message = capsys.readouterr().out
    assert "32 arrays bit for bit, for images normalised as torchvision's weights want it" in message
    assert f"use it with: loss.features={target}" in message
    there, here = tf_impl.features.read(target), torch_impl.features.read(folder / "torchvision.pth")
    assert there.images == here.images
    assert all(there.arrays[name].tobytes() == array.tobytes() for name, array in here.arrays.items())
    assert run(["convert", str(folder / "torchvision.pth"), str(target)]) == 2
    assert "exists: remove it" in capsys.readouterr().err
    target.unlink()


@pytest.mark.parametrize("ending", [ending for ending in carrying.WRITERS if ending != ".pt"])  # as .pth
def test_written_files_keep_the_normalisation_of_their_images(tmp_path, ending):
    images = "caffe" if ending == ".safetensors" else "torch"  # what is not usual there, but of a pickle
    path = tmp_path / f"vgg19{ending}"
    carrying.WRITERS[ending](vgg.weights(path, drawn().arrays, images), path)
    read = torch_impl.features.read(path)
    assert read.images == images
    assert all(read.arrays[name].tobytes() == array.tobytes() for name, array in drawn().arrays.items())
    if ending == ".weights.h5":  # Keras's own network loads it
        loaded = keras.applications.VGG19(weights=str(path), include_top=False)
        assert all((a == b).all() for a, b in zip(loaded.get_weights(), application().get_weights(), strict=True))
    path.unlink()


@pytest.mark.parametrize(
    ("source", "target", "options", "message"),
    [
        ("keras2.h5", "vgg19.pth", [], "would be taken for torchvision's own: write vgg19.safetensors, which can"),
        ("keras2.h5", "vgg19.onnx", [], "written as .safetensors, .weights.h5, .pth, .pt"),
        ("keras2.h5", "vgg19.h5", [], "written as .safetensors, .weights.h5, .pth, .pt"),
        ("absent.pth", "vgg19.safetensors", [], "absent.pth: no such file"),
        ("keras2.h5", "vgg19.safetensors", ["--network", "generator"], "is taken for VGG19's weights"),
    ],
)
def test_an_impossible_conversion_is_rejected_in_one_line(folder, tmp_path, capsys, source, target, options, message):
    assert run(["convert", str(folder / source), str(tmp_path / target), *options]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def mirrored(weights, path):
    turned = {name: array[::-1] if array.ndim == 4 else array for name, array in weights.arrays.items()}
    carrying._write_safetensors(vgg.weights(path, turned, weights.images), path)


def forgetful(weights, path):
    carrying._write_safetensors(vgg.weights(path, weights.arrays, "torch"), path)


@pytest.mark.parametrize(
    ("source", "write", "apart", "message"),
    [
        ("torchvision.pth", mirrored, None, "other features than .*torchvision.pth: .*; 16 of 32 arrays are others"),
        (
            "torchvision.pth",
            mirrored,
            0.0,
            "16 of 32 arrays are others, for images as torch wants them; nothing was wr",
        ),
        ("keras2.h5", forgetful, 0.0, "0 of 32 arrays are others, for images as torch wants them, expected caffe"),
        ("torchvision.pth", forgetful, 1.0, "1 of the largest apart, expected at most 0.1; 0 of 32 arrays"),
        ("torchvision.pth", forgetful, np.nan, "nan of the largest apart"),
    ],
    ids=["measured", "arrays", "images", "features", "nan"],
)
def test_a_converted_file_with_other_features_is_removed(folder, tmp_path, monkeypatch, source, write, apart, message):
    """Measured once; then each of the three reasons by itself."""
    monkeypatch.setitem(carrying.WRITERS, ".safetensors", write)
    if apart is not None:
        monkeypatch.setattr(carrying, "_compared", lambda s, w, path: carrying.Written(path, s, apart, 0.1))
    with pytest.raises(NotFaithful, match=message):
        carrying.convert_features(folder / source, tmp_path / "vgg19.safetensors")
    assert list(tmp_path.iterdir()) == []
