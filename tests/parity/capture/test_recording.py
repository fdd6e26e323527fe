"""Recording changes neither the caller's models nor the frameworks, also after errors; and what it records."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from keras import layers as L
from tensorflow.python.framework import op_callbacks
from torch import nn

import parity
from parity import UnusableInput, copy_to_torch
from parity.capture.keras_adapter import KerasAdapter
from parity.capture.torch_adapter import TorchAdapter
from tests.cases.layers import LAYERS, Does, chain
from tests.cases.models import MODELS, KerasBlock, TorchBlock

KERAS_MODULES = (keras.Layer, keras.Operation)
TF_FUNCTIONS = ("gelu", "max_pool", "convolution", "moments", "separable_conv2d")


def pair():
    """Every sort of state: statistics, dropout, a frozen layer, a module left in training mode, a gradient, a hook."""
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)
    given = keras.Input((8, 6, 4))
    h = L.Dropout(0.3)(KerasBlock(4)(L.SeparableConv2D(4, 3, padding="same", activation="gelu")(given)))
    reference = keras.Model(given, L.Dense(2)(L.Flatten()(L.LeakyReLU(0.2)(h))))
    reference.layers[1].trainable = False
    port = nn.Sequential(
        *(nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.Conv2d(4, 4, 1), nn.GELU(), TorchBlock(4)),
        *(nn.Dropout(0.3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(192, 2)),
    )
    port.train()
    port[3].bn.eval()
    port[0].weight.requires_grad_(False)
    port(torch.randn(2, 4, 8, 6)).sum().backward()
    port[1].register_forward_hook(lambda module, args, got: None)
    return reference, port


def picture(reference: keras.Model, port: nn.Module) -> dict:
    """Everything that must not change."""
    parts = reference._flatten_layers()
    return {
        "keras weights": [w.tobytes() for w in reference.get_weights()],
        "keras variables": [(id(v), id(v._value), str(v.dtype), v.trainable) for v in reference.variables],
        "keras layers": [
            (layer.name, layer.trainable, layer.dtype_policy.name, id(vars(layer).get("activation"))) for layer in parts
        ],
        "keras attributes": [sorted(vars(layer)) for layer in parts],
        "keras inputs": [(str(x.dtype), x.shape) for x in reference.inputs],
        "keras": (keras.config.floatx(), keras.config.dtype_policy().name, tf.config.functions_run_eagerly()),
        "keras calls": [id(vars(cls)["__call__"]) for cls in KERAS_MODULES],
        "tensorflow": [id(getattr(tf.nn, name)) for name in TF_FUNCTIONS] + [id(tf.image.resize)],
        "callbacks": op_callbacks.should_invoke_op_callbacks(),
        "torch weights": {name: (x.numpy().tobytes(), x.data_ptr()) for name, x in port.state_dict().items()},
        "torch parameters": [(id(p), p.requires_grad, p.dtype) for p in port.parameters()],
        "torch gradients": [None if p.grad is None else p.grad.numpy().tobytes() for p in port.parameters()],
        "torch modules": [(name, id(m), m.training, sorted(vars(m))) for name, m in port.named_modules()],
        "torch hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in port.modules()],
        "torch": (torch.get_default_dtype(), torch.is_grad_enabled()),
        "torch modes": len(torch.overrides._get_current_function_mode_stack()),
    }  # fmt: skip


def assert_unchanged(before: dict, reference: keras.Model, port: nn.Module) -> None:
    after = picture(reference, port)
    assert {key for key in before if before[key] != after[key]} == set()


def test_verify_leaves_both_models_as_they_were():
    reference, port = pair()
    before = picture(reference, port)
    assert parity.verify(reference, port).passed
    assert_unchanged(before, reference, port)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("rung", ["tracing", "measuring", "weights", "padding", "forward", "gradients", "state"])
def test_an_interruption_between_rungs_leaves_models_unchanged(rung, error):
    reference, port = pair()
    before = picture(reference, port)

    def interrupt(name):
        if name == rung:
            raise error("stopped")

    with pytest.raises(error, match="stopped"):
        parity.verify(reference, port, progress=interrupt)
    assert_unchanged(before, reference, port)


@pytest.mark.parametrize("call", [1, 3, 6, 9, 14])
def test_an_interruption_inside_a_torch_layer_leaves_models_unchanged(call):
    reference, port = pair()
    calls = iter(range(1, 100))

    class Interrupted(nn.Identity):
        def forward(self, x):
            if next(calls) == call:
                raise KeyboardInterrupt
            return x

    port.append(Interrupted())
    before = picture(reference, port)
    with pytest.raises(KeyboardInterrupt):
        parity.verify(reference, port)
    assert_unchanged(before, reference, port)


@pytest.mark.parametrize("call", [2, 5, 8, 12])
def test_an_interruption_inside_a_keras_layer_leaves_models_unchanged(call):
    calls = iter(range(100))

    class Interrupted(L.Layer):
        def call(self, x):
            if not keras.ops.is_tensor(x) or isinstance(x, keras.KerasTensor):
                return x
            if next(calls) == call:
                raise KeyboardInterrupt
            return x * 1.0

    given = keras.Input((6,))
    reference = keras.Model(given, L.Dense(2, activation="gelu")(Interrupted()(L.Dense(4, activation="relu")(given))))
    port = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2), nn.GELU())
    before = picture(reference, port)
    with pytest.raises(KeyboardInterrupt):
        parity.verify(reference, port)
    assert_unchanged(before, reference, port)


def test_unusable_input_leaves_models_unchanged():
    reference, port = pair()
    before = picture(reference, port)
    with pytest.raises(UnusableInput):
        parity.verify(reference, port, np.zeros((2, 8, 7, 4)))
    with pytest.raises(UnusableInput):
        parity.verify(reference, port, mapping={"no": "where"})
    assert_unchanged(before, reference, port)


def test_copying_changes_only_weights():
    reference, port = pair()
    before = picture(reference, port)
    copy_to_torch(reference, port)
    after = picture(reference, port)
    assert {key for key in before if before[key] != after[key]} == {"torch weights"}
    assert [x[1] for x in before["torch weights"].values()] == [x[1] for x in after["torch weights"].values()]


def test_the_models_can_be_trained_after_verification():
    reference, port = pair()
    reference.compile("sgd", "mse")
    x, y = np.ones((4, 8, 6, 4), "float32"), np.zeros((4, 2), "float32")
    reference.fit(x, y, verbose=0)
    parity.verify(reference, port)
    reference.fit(x, y, verbose=0)
    assert reference.predict(x, verbose=0).dtype == np.float32
    torch.optim.SGD(port.parameters(), 0.1).step()


@pytest.mark.parametrize("framework", ["Keras", "torch"])
def test_reentering_a_precision_keeps_weights_and_restores_statistics(framework):
    if framework == "Keras":
        side, x = (
            KerasAdapter(keras.Sequential([keras.Input((4, 4, 3)), L.BatchNormalization()])),
            np.ones((2, 4, 4, 3)),
        )
    else:
        side, x = TorchAdapter(nn.Sequential(nn.BatchNorm2d(3))), np.ones((2, 3, 4, 4))
    with side.precision("float64"):
        step = side.run([x]).steps[0]
        side.write(step, "gamma", np.array([5.0, 6.0, 7.0]))
        side.run([x], training=True, keep_state=True)
        assert side.read(step, "moving_mean").all()
    for dtype, gamma in (("float64", [5.0, 6.0, 7.0]), ("float32", [1.0, 1.0, 1.0])):
        with side.precision(dtype):
            assert side.read(step, "gamma").tolist() == gamma
            assert not side.read(step, "moving_mean").any()


def test_a_mixed_precision_reference_is_compared_in_full_precision():
    reference = keras.Sequential(
        [keras.Input((6,)), L.Dense(4, dtype="mixed_float16"), L.Dense(2, dtype="mixed_float16")]
    )
    before = [layer.dtype_policy.name for layer in reference.layers]
    assert parity.verify(reference, nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2))).passed
    assert [layer.dtype_policy.name for layer in reference.layers] == before


# What is seen


def steps(side, inputs) -> list[tuple[str, str]]:
    with side.precision("float32"):
        return [(step.name, step.kind) for step in side.run(inputs).steps]


def test_keras_layers_operations_and_functions_are_recorded():
    class Block(keras.Model):
        def __init__(self):
            super().__init__(name="block")
            self.conv = L.Conv2D(2, 3, activation="relu", name="conv")

        def call(self, x):
            h = self.conv(x)
            return tf.nn.leaky_relu(tf.concat([h, h + h * 2.0], -1), 0.1)[:, :-1]

    given = keras.Input((6, 5, 3))
    reference = keras.Model(given, keras.ops.mean(Block()(given), axis=(1, 2)))
    seen = steps(KerasAdapter(reference), [np.zeros((2, 6, 5, 3))])
    assert seen == [
        ("block/conv", "conv"), ("block/conv:relu", "activation"), ("block/addv2", "merge"),
        ("block/concatv2", "merge"), ("block/leakyrelu", "activation"), ("block/stridedslice", "crop"),
        (seen[-1][0], "global-pool"),
    ]  # fmt: skip


def test_torch_modules_and_functions_are_recorded():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, x):
            h = F.relu(self.conv(x))
            return F.leaky_relu(torch.cat([h, h + h * 2.0], 1), 0.1)[:, :, :-1]

    port = Does(lambda self, x: self.block(x).mean((2, 3)), block=Block())
    assert steps(TorchAdapter(port), [np.zeros((2, 3, 6, 5))]) == [
        ("block.conv", "conv"), ("block.relu", "activation"), ("block.add", "merge"), ("block.cat", "merge"),
        ("block.leaky_relu", "activation"), ("block.getitem", "crop"), ("mean", "global-pool"),
    ]  # fmt: skip


def test_a_crop_directly_after_a_layer_belongs_to_it():
    port = Does(lambda self, x: self.up(x)[..., 1:-2].narrow(2, 1, 4), up=nn.ConvTranspose2d(3, 2, 5, stride=2))
    side = TorchAdapter(port)
    with side.precision("float32"):
        trace = side.run([np.zeros((1, 3, 4, 3))])
    assert trace.step("up").output_shape == (1, 2, 4, 6) == trace.outputs["up"].shape == trace.result[0].shape
    value = np.ones((1, 2, 4, 6))
    with side.precision("float32"):
        assert np.array_equal(side.run([np.zeros((1, 3, 4, 3))], replace={"up": value}).result[0], value)


def test_a_layer_called_twice_is_recorded_under_two_names():
    shared = nn.Linear(3, 3)
    side = TorchAdapter(Does(lambda self, x: self.a(F.relu(self.b(x))), a=shared, b=shared))
    assert [name for name, _ in steps(side, [np.zeros((1, 3))])] == ["a", "relu", "a#2"]
    dense = L.Dense(3, name="dense")
    side = KerasAdapter(chain((3,), dense, L.ReLU(name="relu"), dense))
    assert [name for name, _ in steps(side, [np.zeros((1, 3))])] == ["dense", "relu", "dense#2"]


@pytest.mark.parametrize("name", ["upsampling_bilinear", "pooling_3d", "dense_on_sequences", "conv2d_dilated_grouped"])
def test_an_exact_substitute_agrees_with_tensorflow(name):
    case = {**LAYERS, **MODELS}[name]()
    side = KerasAdapter(case.reference)
    x = np.random.default_rng(0).standard_normal((2, *case.reference.input_shape[1:]))
    with side.precision("float64"):
        exact = side.run([x]).result[0]
    stock = np.asarray(case.reference(x.astype("float32")))
    assert exact.dtype == np.float64
    assert np.abs(exact - stock).max() < 1e-5 * np.abs(exact).max()
    assert np.abs(exact - stock).max() > 0


def test_the_substitute_for_3d_max_pooling_handles_same_padding():
    reference = chain((5, 6, 7, 2), L.MaxPooling3D((3, 2, 2), strides=(2, 1, 2), padding="same"))
    x = np.random.default_rng(0).standard_normal((2, 5, 6, 7, 2)).astype("float32")
    side = KerasAdapter(reference)
    with side.precision("float64"):
        assert np.array_equal(side.run([x]).result[0].astype("float32"), np.asarray(reference(x)))
