"""A built Keras network's components in words, read from the steps of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from parity.capture.steps import Step
from parity.report.formats import count

Words = tuple[str, str]  # English and Chinese
KINDS: dict[str, Words] = {
    "dense": ("dense layer", "全连接层"),
    "conv": ("convolution", "卷积"),
    "conv-transpose": ("transposed convolution", "转置卷积"),
}
ACTIVATIONS = {"relu": "ReLU", "leaky_relu": "LeakyReLU"}  # others go by their own names
NONE: Words = ("none", "无")


@dataclass(frozen=True)
class Seen:
    """One network's run: its steps in order, how many parameters it learns, and the names of the steps whose kernel is
    spectrally normalised.
    """

    steps: tuple[Step, ...]
    parameters: int
    spectral: frozenset[str] = frozenset()

    @cached_property
    def main(self) -> list[Step]:
        """The steps on the way from the first input to the output, blocks as one: no label's way, no inside."""
        reached, inside = {"input 0"}, {name for step in self.steps for name in step.inside}
        found = []
        for step in self.steps:
            if any(source in reached for group in step.sources for source in group):
                reached.add(step.name)
                found += [] if step.name in inside else [step]
        return found

    @cached_property
    def layers(self) -> list[Step]:
        """The convolutions and dense layers among them."""
        return [step for step in self.main if step.kind in KINDS]

    @cached_property
    def before(self) -> dict[str, frozenset[str]]:
        """Of each step by name, all the steps that its input was computed from."""
        found: dict[str, frozenset[str]] = {}
        for step in self.steps:
            direct = {source for group in step.sources for source in group}
            found[step.name] = frozenset(direct.union(*(found.get(name, ()) for name in direct)))
        return found

    def behind(self, layer: Step) -> list[Step]:
        """What follows a layer, up to the next one."""
        rest = self.main[self.main.index(layer) + 1 :]
        ends = [index for index, step in enumerate(rest) if step.kind in KINDS]
        return rest[: ends[0]] if ends else rest

    def of(self, kind: str) -> list[Step]:
        """The steps of a kind on the way."""
        return [step for step in self.main if step.kind == kind]


def read(model: Any, network: str) -> Seen:
    """Build a model section's network at its own width and run it once, on zeros."""
    import tf_impl
    from parity.capture.keras_adapter import KerasAdapter

    built = tf_impl.build(model, network)
    side = KerasAdapter(built)
    with side.precision("float32"):
        sizes = [([size or 1 for size in shape], dtype) for shape, dtype in side.input_specs() or []]
        trace = side.run([np.zeros(shape, dtype) for shape, dtype in sizes], values=False)
    kernels = {id(layer.kernel) for layer in built._flatten_layers() if hasattr(layer, "power_iterations")}
    return Seen(
        tuple(trace.steps),
        sum(prod(variable.shape) for variable in built.trainable_variables),
        frozenset(step.name for step in trace.steps if id((step.handle or {}).get("kernel")) in kernels),
    )


def _size(shape: Iterable[int]) -> str:
    return "×".join(map(str, list(shape)[1:])) or "1"


def _window(step: Step) -> str:
    return "×".join(map(str, step.attributes["kernel_size"]))


def _given(seen: Seen, layer: Step) -> tuple[int, ...]:
    """A layer's input, before it is padded."""
    before = seen.main[seen.main.index(layer) - 1] if layer is not seen.main[0] else layer
    return before.input_shape if before.kind == "padding" else layer.input_shape


def _made(seen: Seen, layer: Step) -> tuple[int, ...]:
    """A layer's output; of a dense one that is reshaped to an image, the image."""
    after = seen.behind(layer)
    folded = layer.kind == "dense" and after and after[0].kind == "reshape"
    return after[0].output_shape if folded else layer.output_shape


def _layer(seen: Seen, layer: Step) -> Words:
    english, chinese = KINDS[layer.kind]
    sizes = f"{_size(_given(seen, layer))} → {_size(_made(seen, layer))}"
    if layer.kind == "dense":
        return f"{english} {sizes}", f"{chinese} {sizes}"
    window, stride = _window(layer), layer.attributes["strides"][0]
    return f"{english} {window}, stride {stride}: {sizes}", f"{chinese} {window}，步幅 {stride}：{sizes}"


def _resizing(seen: Seen) -> Words:
    """How the size changes on the way: strided layers, upsampling, pooling."""
    found: list[Words] = []
    for step in seen.main:
        if step.kind in ("conv", "conv-transpose") and max(step.attributes["strides"]) > 1:
            english, chinese = KINDS[step.kind]
            stride = max(step.attributes["strides"])
            found.append((f"{english}, stride {stride}", f"{chinese}，步幅 {stride}"))
        elif step.kind == "upsample":
            mode, factor = step.attributes["mode"], step.attributes["factor"][0]
            found.append((f"{mode} upsampling ×{factor}, then convolution", f"{mode} 上采样 ×{factor}，再卷积"))
        elif step.kind == "pool":
            mode = step.attributes["mode"]
            found.append((f"{mode} pooling", f"{mode} 池化"))
        elif step.unknown_kind and step.input_shape[1:3] != step.output_shape[1:3]:
            name = " ".join([step.class_name, *map(str, step.attributes.values())])
            found.append((f"{name}, then convolution", f"{name}，再卷积"))
    return _counted(found)


def _counted(found: list[Words]) -> Words:
    """``4 × convolution, stride 2``; several of them joined."""
    kinds = [(found.count(words), *words) for words in dict.fromkeys(found)]
    if not kinds:
        return NONE
    return "; ".join(f"{n} × {word}" for n, word, _ in kinds), "；".join(f"{n} × {word}" for n, _, word in kinds)


def _activation(step: Step) -> Words:
    name = step.attributes["function"]
    word = ACTIVATIONS.get(name, name) + (f" {step.attributes['slope']:.3g}" if "slope" in step.attributes else "")
    return word, word


def _last_activations(seen: Seen) -> list[Step]:
    return [step for step in seen.behind(seen.layers[-1]) if step.kind == "activation"]


def _hidden(seen: Seen) -> Words:
    last = _last_activations(seen)
    return _counted([_activation(step) for step in seen.of("activation") if step not in last])


def _final(seen: Seen) -> Words:
    last = _last_activations(seen)
    return _activation(last[-1]) if last else NONE


def _norms(seen: Seen) -> Words:
    """Which layers are normalised, and the momentum in both conventions."""
    norms = seen.of("batchnorm")
    if not norms:
        return NONE
    bare = [layer for layer in seen.layers if not any(step.kind == "batchnorm" for step in seen.behind(layer))]
    lacking = dict.fromkeys(layer.name.rpartition("/")[2] for layer in bare)
    with_norm = len(seen.layers) - len(bare)
    settings = dict.fromkeys(_momentum(step) for step in norms)
    english = f"{with_norm} of {len(seen.layers)} layers, not {', '.join(lacking)}" if lacking else "all layers"
    chinese = f"{len(seen.layers)} 层中 {with_norm} 层，{'、'.join(lacking)} 没有" if lacking else "所有层"
    told = "; ".join([english, *(words for words, _ in settings)])
    return told, "；".join([chinese, *(words for _, words in settings)])


def _momentum(step: Step) -> Words:
    keras, epsilon = step.attributes["momentum"], step.attributes["epsilon"]
    new, old = f"{1 - keras:.3g}", f"{keras:.3g}"
    if step.attributes["tracked"]:
        return (
            f"momentum {new} (torch) = {old} (Keras), eps {epsilon:g}",
            f"momentum {new}（torch）= {old}（Keras），eps {epsilon:g}",
        )
    return f"always batch statistics, eps {epsilon:g}", f"始终使用批统计量，eps {epsilon:g}"


def _kernels(seen: Seen) -> Words:
    found = dict.fromkeys(_window(step) for step in seen.layers if step.kind != "dense")
    words = ", ".join(found)
    return (words, words) if words else NONE


def _dropouts(seen: Seen) -> Words:
    return _counted(
        [
            (f"whole channels, {step.attributes['rate']:g}", f"整通道，{step.attributes['rate']:g}")
            if step.attributes["per_channel"]
            else (f"single values, {step.attributes['rate']:g}", f"单个值，{step.attributes['rate']:g}")
            for step in seen.of("dropout")
        ]
    )


def _spectral(seen: Seen) -> Words:
    some = sum(step.name in seen.spectral for step in seen.layers)
    every = len(seen.layers)
    return (f"{some} of {every} layers", f"{every} 层中 {some} 层") if some else NONE


def _attention(seen: Seen) -> Words:
    places = ", ".join(_size(step.output_shape[:3]) for step in seen.of("own"))
    return (f"at {places}", f"位于 {places}") if places else NONE


def _labels(seen: Seen) -> Words:
    found = [step.attributes for step in seen.steps if step.kind == "embedding"]
    words = ", ".join(f"{one['vocabulary']} × {one['features']:,}" for one in found)
    return (f"embedding {words}", f"嵌入 {words}") if words else NONE


def _parameters(seen: Seen) -> Words:
    return count(seen.parameters), count(seen.parameters)


def _flow(seen: Seen) -> Words:
    """The sizes on the way; a second head or a second scale has a way of its own."""
    ways = [[_size(seen.main[0].input_shape)]]
    for index, layer in enumerate(seen.layers):
        if index and seen.layers[index - 1].name not in seen.before[layer.name]:
            ways.append([_size(_given(seen, layer))])
        ways[-1].append(_size(_made(seen, layer)))
    words = " | ".join(" → ".join(way) for way in ways)
    return words, words


Row = tuple[Words, Callable[[Seen], Words]]
_SHARED: tuple[Row, ...] = (
    (("Hidden activation", "隐藏层激活函数"), _hidden),
    (("Final activation", "末层激活函数"), _final),
    (("Batch normalisation", "批归一化"), _norms),
    (("Spectral normalisation", "谱归一化"), _spectral),
    (("Kernel size", "卷积核尺寸"), _kernels),
    (("Dropout", "Dropout"), _dropouts),
    (("Self-attention", "自注意力"), _attention),
    (("Label", "标签"), _labels),
    (("Final layer", "末层"), lambda seen: _layer(seen, seen.layers[-1])),
    (("Parameters", "参数量"), _parameters),
    (("Architecture flow", "架构流程"), _flow),
)
_FIRST: Row = (("Initial layer", "首层"), lambda seen: _layer(seen, seen.layers[0]))
ROWS: dict[str, tuple[Row, ...]] = {
    "generator": (_FIRST, (("Upsampling method", "上采样方式"), _resizing), *_SHARED),
    "discriminator": (_FIRST, (("Downsampling method", "下采样方式"), _resizing), *_SHARED),
}
