"""Whole small pairs, nested and branched the way users write them, with their own names on both sides."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import torch
import torch.nn.functional as F
from keras import layers as L
from keras import ops
from torch import nn

from tests.cases.layers import Case, Does, chain

MODELS: dict[str, Callable[[], Case]] = {}


def model(build: Callable[[], tuple]) -> Callable[[], tuple]:
    """Register a pair under its function's name."""
    MODELS[build.__name__] = lambda: Case(*build())
    return build


def drawn(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Random inputs in the reference's layout."""
    return [np.random.default_rng(n).standard_normal(shape) for n, shape in enumerate(shapes)]


class KerasBlock(keras.Model):
    """Two convolutions and a shortcut, subclassed, with functions in ``call``."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.first = L.Conv2D(filters, 3, padding="same")
        self.norm = L.BatchNormalization()
        self.second = L.Conv2D(filters, 3, padding="same")

    def call(self, x, training=None):
        h = ops.relu(self.norm(self.first(x), training=training))
        return ops.relu(self.second(h) + x)


class KerasStages(keras.Model):
    """Blocks in a sequential model in a subclassed model."""

    def __init__(self):
        super().__init__()
        self.stem = L.Conv2D(4, 3, strides=2, padding="same", activation="relu")
        self.stages = keras.Sequential([KerasBlock(4), L.MaxPooling2D(2), KerasBlock(4)])
        self.head = L.Dense(3)

    def call(self, x, training=None):
        h = self.stages(self.stem(x), training=training)
        return self.head(ops.mean(h, axis=(1, 2)))


class TorchBlock(nn.Module):
    """The same block with its own names."""

    def __init__(self, channels):
        super().__init__()
        self.conv_in = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
        self.conv_out = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return F.relu(self.conv_out(F.relu(self.bn(self.conv_in(x)))) + x)


class TorchStages(nn.Module):
    def __init__(self):
        super().__init__()
        self.entry = nn.Conv2d(3, 4, 3, stride=2)
        self.blocks = nn.ModuleList([TorchBlock(4), TorchBlock(4)])
        self.pool = nn.MaxPool2d(2)
        self.classifier = nn.Linear(4, 3)

    def forward(self, x):
        h, w = x.shape[2:]
        y = F.relu(self.entry(F.pad(x, (0, 1, 1 - h % 2 == 0, 1))))
        y = self.blocks[1](self.pool(self.blocks[0](y)))
        return self.classifier(y.mean(dim=[2, 3]))


@model
def subclassed_stages():
    reference = KerasStages()
    inputs = drawn((3, 16, 12, 3))
    reference(inputs[0])
    return reference, TorchStages(), inputs


@model
def subclass_in_sequential_in_functional():
    given = keras.Input((16, 12, 3))
    stem = keras.Sequential([L.Conv2D(4, 3, strides=2, padding="same"), L.Activation("relu")], name="stem")
    h = keras.Sequential([stem, KerasBlock(4), L.MaxPooling2D(2)], name="body")(given)
    h = KerasBlock(4)(h)
    reference = keras.Model(given, L.Dense(3)(L.GlobalAveragePooling2D()(h)))
    return reference, TorchStages()


@model
def functional_bare_operations():
    given = keras.Input((8, 6, 3))
    h = ops.relu(L.Conv2D(4, 3, padding="same")(given))
    h = h + L.Conv2D(4, 1)(given)
    h = ops.concatenate([h, ops.tanh(h)], axis=-1)
    reference = keras.Model(given, L.Conv2D(2, 3)(ops.pad(h, [[0, 0], [1, 1], [0, 2], [0, 0]])))

    def call(self, x):
        h = self.main(x).relu() + self.side(x)
        return self.last(F.pad(torch.cat([h, h.tanh()], 1), (0, 2, 1, 1)))

    return reference, Does(call, main=nn.Conv2d(3, 4, 3, padding=1), side=nn.Conv2d(3, 4, 1), last=nn.Conv2d(8, 2, 3))


@model
def residual_sums_of_every_spelling():
    given = keras.Input((8, 6, 4))
    h = given
    for activation in ("relu", "relu", "relu", None):
        h = L.Add()([L.Conv2D(4, 3, padding="same", activation=activation)(h), h])
    reference = keras.Model(given, L.Conv2D(2, 3)(h))

    def call(self, x):
        a, b, c, d = self.convs
        x = a(x).relu() + x
        x = torch.add(b(x).relu(), x)
        x = x + c(x).relu()
        y = d(x)
        y += x
        return self.last(y)

    convs = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1) for _ in range(4)])
    return reference, Does(call, convs=convs, last=nn.Conv2d(4, 2, 3))


@model
def branches_in_another_order():
    given = keras.Input((8, 6, 3))
    wide = L.ReLU()(L.Conv2D(4, 3, padding="same", name="wide")(given))
    narrow = L.ReLU()(L.Conv2D(4, 1, name="narrow")(given))
    pooled = L.Conv2D(2, 1, name="after_pool")(L.MaxPooling2D(3, strides=1, padding="same")(given))
    reference = keras.Model(given, L.Conv2D(2, 3, name="last")(L.Concatenate()([wide, narrow, pooled])))

    def call(self, x):
        pooled = self.p(F.max_pool2d(x, 3, 1, padding=1))
        narrow = F.relu(self.n(x))
        return self.out(torch.cat((F.relu(self.w(x)), narrow, pooled), dim=1))

    port = Does(
        call, p=nn.Conv2d(3, 2, 1), n=nn.Conv2d(3, 4, 1), w=nn.Conv2d(3, 4, 3, padding=1), out=nn.Conv2d(10, 2, 3)
    )
    return reference, port


@model
def two_inputs():
    image, vector = keras.Input((8, 6, 3)), keras.Input((5,))
    h = L.Flatten()(L.Conv2D(2, 3, activation="relu")(image))
    reference = keras.Model([image, vector], L.Dense(3)(L.Concatenate()([h, L.Dense(4, activation="tanh")(vector)])))

    def call(self, image, vector):
        h = F.relu(self.conv(image)).flatten(1)
        return self.join(torch.cat([h, torch.tanh(self.embed(vector))], 1))

    return reference, Does(call, conv=nn.Conv2d(3, 2, 3), embed=nn.Linear(5, 4), join=nn.Linear(52, 3))


@model
def image_and_sequence_inputs():
    image, words = keras.Input((8, 6, 3)), keras.Input((7, 5))
    h = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, activation="relu")(image))
    w = L.GlobalAveragePooling1D()(L.Dense(4, activation="relu")(words))
    reference = keras.Model([image, words], L.Dense(3)(L.Multiply()([h, w])))

    def call(self, image, words):
        return self.join(F.relu(self.conv(image)).mean((2, 3)) * F.relu(self.proj(words)).mean(1))

    return reference, Does(call, conv=nn.Conv2d(3, 4, 3), proj=nn.Linear(5, 4), join=nn.Linear(4, 3))


@model
def image_and_label_inputs():
    image, label = keras.Input((8, 6, 2)), keras.Input((1,), dtype="int32")
    plane = L.Reshape((8, 6, 1))(L.Dense(48)(L.Flatten()(L.Embedding(5, 4)(label))))
    reference = keras.Model([image, label], L.Conv2D(3, 3)(L.Concatenate()([image, plane])))

    def call(self, image, label):
        plane = self.to_plane(self.words(label).flatten(1)).view(-1, 1, 8, 6)
        return self.conv(torch.cat([image, plane], 1))

    return reference, Does(call, words=nn.Embedding(5, 4), to_plane=nn.Linear(4, 48), conv=nn.Conv2d(3, 3, 3))


@model
def two_outputs():
    given = keras.Input((8, 6, 3))
    h = L.Conv2D(4, 3, activation="relu")(given)
    reference = keras.Model(given, [L.Conv2D(2, 1)(h), L.Dense(3, activation="softmax")(L.Flatten()(h))])

    def call(self, x):
        h = F.relu(self.body(x))
        return self.map(h), F.softmax(self.logits(h.flatten(1)), dim=1)

    return reference, Does(call, body=nn.Conv2d(3, 4, 3), map=nn.Conv2d(4, 2, 1), logits=nn.Linear(96, 3))


@model
def two_outputs_by_name():
    given = keras.Input((6,))
    h = L.Dense(5, activation="relu")(given)
    reference = keras.Model(given, {"mean": L.Dense(2)(h), "scale": L.Dense(2, activation="softplus")(h)})

    def call(self, x):
        h = F.relu(self.body(x))
        return {"mean": self.mean(h), "scale": F.softplus(self.scale(h))}

    return reference, Does(call, body=nn.Linear(6, 5), mean=nn.Linear(5, 2), scale=nn.Linear(5, 2))


@model
def shared_layers():
    a, b = keras.Input((8, 6, 3)), keras.Input((8, 6, 3))
    tower = keras.Sequential([L.Conv2D(4, 3, activation="relu"), L.Flatten(), L.Dense(5)])
    reference = keras.Model([a, b], L.Dense(2)(L.Subtract()([tower(a), tower(b)])))

    def call(self, a, b):
        return self.head(self.tower(a) - self.tower(b))

    tower = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5))
    return reference, Does(call, tower=tower, head=nn.Linear(5, 2))


@model
def free_image_size():
    reference = chain(
        (None, None, 3),
        L.Conv2D(4, 3, activation="relu"),
        L.MaxPooling2D(),
        L.Conv2D(4, 3),
        L.GlobalMaxPooling2D(),
        L.Dense(2),
    )
    port = Does(
        lambda self, x: self.fc(torch.amax(self.features(x), dim=(-2, -1))),
        features=nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3)),
        fc=nn.Linear(4, 2),
    )
    return reference, port


def _decoder(channels_first: bool):
    reference = chain(
        (6,), L.Dense(4 * 3 * 2), L.Reshape((4, 3, 2)), L.Conv2DTranspose(3, 4, strides=2, padding="same")
    )

    def call(self, z):
        h = self.project(z)
        h = h.view(-1, 2, 4, 3) if channels_first else h.view(-1, 4, 3, 2).permute(0, 3, 1, 2)
        return self.up(h)

    return reference, Does(call, project=nn.Linear(6, 24), up=nn.ConvTranspose2d(2, 3, 4, 2, 1))


@model
def dense_view_conv_channels_first():
    return _decoder(True)


@model
def dense_view_conv_channels_last():
    return _decoder(False)


@model
def dense_norm_view_conv():
    reference = chain(
        (6,), L.Dense(24, use_bias=False), L.BatchNormalization(), L.ReLU(), L.Reshape((4, 3, 2)), L.Conv2D(3, 3)
    )
    norm = nn.BatchNorm1d(24, eps=1e-3, momentum=0.01)
    port = nn.Sequential(nn.Linear(6, 24, bias=False), norm, nn.ReLU(), nn.Unflatten(1, (2, 4, 3)), nn.Conv2d(2, 3, 3))
    return reference, port


@model
def autoencoder_through_a_latent():
    reference = chain(
        (8, 6, 3),
        *(L.Conv2D(4, 4, strides=2, padding="same", activation="relu"), L.Flatten(), L.Dense(5, activation="tanh")),
        *(L.Dense(48, activation="relu"), L.Reshape((4, 3, 4))),
        L.Conv2DTranspose(3, 4, strides=2, padding="same", activation="sigmoid"),
    )

    def call(self, x):
        code = torch.tanh(self.encode(F.relu(self.down(x)).flatten(1)))
        return torch.sigmoid(self.up(F.relu(self.decode(code)).reshape(-1, 4, 4, 3)))

    return reference, Does(
        call,
        down=nn.Conv2d(3, 4, 4, 2, 1),
        encode=nn.Linear(48, 5),
        decode=nn.Linear(5, 48),
        up=nn.ConvTranspose2d(4, 3, 4, 2, 1),
    )


@model
def latent_of_four_dimensions():
    reference = chain(
        (1, 1, 6), L.Conv2DTranspose(4, (4, 3)), L.ReLU(), L.Conv2DTranspose(2, 4, strides=2, padding="same")
    )
    port = nn.Sequential(nn.ConvTranspose2d(6, 4, (4, 3)), nn.ReLU(), nn.ConvTranspose2d(4, 2, 4, 2, 1))
    return reference, port


@model
def latent_reshaped_to_four_dimensions():
    reference = chain((6,), L.Reshape((1, 1, 6)), L.Conv2DTranspose(4, 4), L.Activation("tanh"))
    port = Does(lambda self, z: torch.tanh(self.up(z[:, :, None, None])), up=nn.ConvTranspose2d(6, 4, 4))
    return reference, port


@model
def cubes_in_either_layout():
    reference = chain((4, 4, 4), L.Conv2D(4, 3, padding="same"), L.ReLU(), L.LayerNormalization(), L.Conv2D(4, 1))

    def call(self, x):
        return self.out(self.norm(F.relu(self.conv(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    conv, norm = nn.Conv2d(4, 4, 3, padding=1), nn.LayerNorm(4, eps=1e-3)
    return reference, Does(call, conv=conv, norm=norm, out=nn.Conv2d(4, 4, 1))


@model
def images_of_whole_numbers():
    reference = chain((8, 6, 3), L.Rescaling(1 / 127.5, offset=-1), L.Conv2D(2, 3))
    images = np.random.default_rng(0).integers(0, 255, (2, 8, 6, 3)).astype("uint8")
    return reference, Does(lambda self, x: self.conv(x / 127.5 - 1), conv=nn.Conv2d(3, 2, 3)), [images]


@model
def one_sample():
    reference = chain((6,), L.Dense(4), L.BatchNormalization(), L.Dense(2))
    norm = nn.BatchNorm1d(4, eps=1e-3, momentum=0.01)
    return reference, nn.Sequential(nn.Linear(6, 4), norm, nn.Linear(4, 2)), drawn((1, 6))


@model
def squeeze_and_excitation():
    given = keras.Input((8, 6, 4))
    h = L.Conv2D(4, 3, padding="same")(given)
    gate = L.GlobalAveragePooling2D()(h)
    gate = L.Dense(4, activation="sigmoid")(L.Dense(2, activation="relu")(gate))
    reference = keras.Model(given, L.Multiply()([h, L.Reshape((1, 1, 4))(gate)]))

    def call(self, x):
        h = self.conv(x)
        gate = self.excite(h.mean((2, 3)))
        return h * gate[:, :, None, None]

    excite = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 4), nn.Sigmoid())
    return reference, Does(call, conv=nn.Conv2d(4, 4, 3, padding=1), excite=excite)


@model
def unet_with_skip():
    given = keras.Input((8, 12, 3))
    a = L.Conv2D(4, 3, padding="same", activation="relu")(given)
    b = L.Conv2D(6, 3, padding="same", activation="relu")(L.MaxPooling2D()(a))
    up = L.Conv2DTranspose(4, 2, strides=2, padding="same")(b)
    reference = keras.Model(given, L.Conv2D(2, 1)(L.Concatenate()([up, a])))

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
            self.enc = nn.ModuleList([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)])
            self.out = nn.Conv2d(8, 2, 1)

        def forward(self, x):
            a = F.relu(self.enc[0](x))
            b = F.relu(self.enc[1](F.max_pool2d(a, 2)))
            return self.out(torch.cat([self.up(b), a], dim=1))

    return reference, UNet()


@model
def temporal_network_with_chomps():
    reference = chain(
        (12, 3),
        *(L.Conv1D(4, 3, padding="causal", activation="relu"), L.Conv1D(4, 3, dilation_rate=2, padding="causal")),
        *(L.ReLU(), L.Dense(2)),
    )

    class Chomp(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.size = size

        def forward(self, x):
            return x[:, :, : -self.size]

    port = Does(
        lambda self, x: self.head(self.net(x).transpose(1, 2)),
        net=nn.Sequential(
            *(nn.Conv1d(3, 4, 3, padding=2), Chomp(2), nn.ReLU()),
            *(nn.Conv1d(4, 4, 3, padding=4, dilation=2), Chomp(4), nn.ReLU()),
        ),
        head=nn.Linear(4, 2),
    )
    return reference, port


@model
def transposed_convolution_cropped_by_slices():
    reference = chain((5, 4, 3), L.Conv2DTranspose(4, 5, strides=2, padding="same"), L.ReLU(), L.Conv2D(2, 3))

    def call(self, x):
        return self.last(F.relu(self.up(x)[:, :, :-1, :-1]))

    return reference, Does(call, up=nn.ConvTranspose2d(3, 4, 5, stride=2, padding=1), last=nn.Conv2d(4, 2, 3))


@model
def inputs_by_name():
    last, first = keras.Input((4,), name="last"), keras.Input((3,), name="first")
    joined = L.Concatenate()([L.Dense(4)(last), L.Dense(5)(first)])
    reference = keras.Model({"last": last, "first": first}, L.Dense(2)(joined))

    class Port(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.out = nn.Linear(4, 4), nn.Linear(3, 5), nn.Linear(9, 2)

        def forward(self, last, first):
            return self.out(torch.cat([self.a(last), self.b(first)], 1))

    return reference, Port()


@model
def layers_written_as_functions():
    reference = chain(
        (8, 6, 3),
        *(L.Conv2D(4, 3, strides=2, padding="same"), L.BatchNormalization(), L.PReLU("uniform", shared_axes=(1, 2))),
        *(L.Conv2DTranspose(2, 4, strides=2, padding="same"), L.LayerNormalization(), L.Flatten(), L.Dense(3)),
    )

    class Port(nn.Module):
        def __init__(self):
            super().__init__()
            shapes = {"k": (4, 3, 3, 3), "kb": (4,), "t": (4, 2, 4, 4), "tb": (2,), "w": (3, 96), "wb": (3,)}
            self.weights = nn.ParameterDict({name: torch.randn(shape) for name, shape in shapes.items()})
            self.scale, self.offset, self.slope = (nn.Parameter(torch.randn(4)) for _ in range(3))
            self.gamma, self.beta = (nn.Parameter(torch.randn(2)) for _ in range(2))
            self.register_buffer("mean", torch.zeros(4))
            self.register_buffer("variance", torch.ones(4))

        def forward(self, x):
            w = self.weights
            x = F.conv2d(F.pad(x, (0, 1, 0, 1)), w["k"], w["kb"], stride=2)
            statistics = (self.mean, self.variance, self.scale, self.offset)
            x = F.prelu(F.batch_norm(x, *statistics, self.training, 0.01, 1e-3), self.slope)
            x = F.conv_transpose2d(x, w["t"], w["tb"], stride=2, padding=1).permute(0, 2, 3, 1)
            return F.linear(F.layer_norm(x, (2,), self.gamma, self.beta, 1e-3).flatten(1), w["w"], w["wb"])

    return reference, Port()


@model
def attention_written_out():
    given = keras.Input((7, 4))
    q, k, v = (L.Dense(4, name=name)(given) for name in "qkv")
    scores = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 2, 1))) / 2.0)
    reference = keras.Model(given, L.Dense(3)(ops.matmul(scores, v)))

    def call(self, x):
        scores = F.softmax(self.query(x) @ self.key(x).transpose(1, 2) / 2.0, dim=-1)
        return self.out(scores @ self.value(x))

    return reference, Does(call, query=nn.Linear(4, 4), key=nn.Linear(4, 4), value=nn.Linear(4, 4), out=nn.Linear(4, 3))
