"""The rows that compare two networks: a component each, in words in both languages, read from a network's run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from parity.capture.drop_path import CHANNELS
from parity.capture.steps import Step
from parity.report.formats import count
from parity.systems.preset_comparison.network_run import NetworkRun

Words = tuple[str, str]  # English and Chinese
KINDS: dict[str, Words] = {
    "dense": ("dense layer", "全连接层"),
    "conv": ("convolution", "卷积"),
    "conv-transpose": ("transposed convolution", "转置卷积"),
}
ACTIVATIONS = {"relu": "ReLU", "leaky_relu": "LeakyReLU"}  # others go by their own names
NONE: Words = ("none", "无")


def _size(shape: Iterable[int]) -> str:
    return "×".join(map(str, list(shape)[1:])) or "1"


def _window(step: Step) -> str:
    return "×".join(map(str, step.attributes["kernel_size"]))


def _input_shape(run: NetworkRun, layer: Step) -> tuple[int, ...]:
    """The shape of a layer's input, before any padding."""
    before = run.main[run.main.index(layer) - 1] if layer is not run.main[0] else layer
    return before.input_shape if before.kind == "padding" else layer.input_shape


def _output_shape(run: NetworkRun, layer: Step) -> tuple[int, ...]:
    """The shape of a layer's output; for a dense layer that is reshaped to an image, of the image."""
    after = run.following(layer)
    reshaped = layer.kind == "dense" and after and after[0].kind == "reshape"
    return after[0].output_shape if reshaped else layer.output_shape


def _layer(run: NetworkRun, layer: Step) -> Words:
    english, chinese = KINDS[layer.kind]
    sizes = f"{_size(_input_shape(run, layer))} → {_size(_output_shape(run, layer))}"
    if layer.kind == "dense":
        return f"{english} {sizes}", f"{chinese} {sizes}"
    window, stride = _window(layer), layer.attributes["strides"][0]
    return f"{english} {window}, stride {stride}: {sizes}", f"{chinese} {window}，步幅 {stride}：{sizes}"


def _resizing(run: NetworkRun) -> Words:
    """How the image size changes along the main path: strided layers, upsampling, pooling."""
    found: list[Words] = []
    for step in run.main:
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
    """Equal words counted, as in ``4 × convolution, stride 2``, and joined."""
    kinds = [(found.count(words), *words) for words in dict.fromkeys(found)]
    if not kinds:
        return NONE
    return "; ".join(f"{n} × {word}" for n, word, _ in kinds), "；".join(f"{n} × {word}" for n, _, word in kinds)


def _activation(step: Step) -> Words:
    name = step.attributes["function"]
    word = ACTIVATIONS.get(name, name) + (f" {step.attributes['slope']:.3g}" if "slope" in step.attributes else "")
    return word, word


def _last_activations(run: NetworkRun) -> list[Step]:
    return [step for step in run.following(run.layers[-1]) if step.kind == "activation"]


def _hidden_activations(run: NetworkRun) -> Words:
    last = _last_activations(run)
    return _counted([_activation(step) for step in run.of("activation") if step not in last])


def _final_activation(run: NetworkRun) -> Words:
    last = _last_activations(run)
    return _activation(last[-1]) if last else NONE


def _batch_norms(run: NetworkRun) -> Words:
    """The layers that are normalised, and the momentum in both frameworks' conventions."""
    norms = run.of("batchnorm")
    if not norms:
        return NONE
    bare = [layer for layer in run.layers if not any(step.kind == "batchnorm" for step in run.following(layer))]
    lacking = dict.fromkeys(layer.name.rpartition("/")[2] for layer in bare)
    with_norm = len(run.layers) - len(bare)
    settings = dict.fromkeys(_momentum(step) for step in norms)
    english = f"{with_norm} of {len(run.layers)} layers, not {', '.join(lacking)}" if lacking else "all layers"
    chinese = f"{len(run.layers)} 层中 {with_norm} 层，{'、'.join(lacking)} 没有" if lacking else "所有层"
    return (
        "; ".join([english, *(words for words, _ in settings)]),
        "；".join([chinese, *(words for _, words in settings)]),
    )


def _momentum(step: Step) -> Words:
    keras, epsilon = step.attributes["momentum"], step.attributes["epsilon"]
    in_torch, in_keras = f"{1 - keras:.3g}", f"{keras:.3g}"
    if step.attributes["tracked"]:
        return (
            f"momentum {in_torch} (torch) = {in_keras} (Keras), eps {epsilon:g}",
            f"momentum {in_torch}（torch）= {in_keras}（Keras），eps {epsilon:g}",
        )
    return f"always batch statistics, eps {epsilon:g}", f"始终使用批统计量，eps {epsilon:g}"


def _kernel_sizes(run: NetworkRun) -> Words:
    found = dict.fromkeys(_window(step) for step in run.layers if step.kind != "dense")
    words = ", ".join(found)
    return (words, words) if words else NONE


def _dropouts(run: NetworkRun) -> Words:
    return _counted(
        [
            (f"whole channels, {step.attributes['rate']:g}", f"整通道，{step.attributes['rate']:g}")
            if step.attributes["dropped"] == CHANNELS
            else (f"single values, {step.attributes['rate']:g}", f"单个值，{step.attributes['rate']:g}")
            for step in run.of("dropout")
        ]
    )


def _spectral_norms(run: NetworkRun) -> Words:
    normalised, layers = sum(step.name in run.spectral for step in run.layers), len(run.layers)
    return (f"{normalised} of {layers} layers", f"{layers} 层中 {normalised} 层") if normalised else NONE


def _attention(run: NetworkRun) -> Words:
    places = ", ".join(_size(step.output_shape[:3]) for step in run.of("own"))
    return (f"at {places}", f"位于 {places}") if places else NONE


def _labels(run: NetworkRun) -> Words:
    found = [step.attributes for step in run.steps if step.kind == "embedding"]
    words = ", ".join(f"{one['vocabulary']} × {one['features']:,}" for one in found)
    return (f"embedding {words}", f"嵌入 {words}") if words else NONE


def _parameters(run: NetworkRun) -> Words:
    return count(run.parameters), count(run.parameters)


def _architecture_flow(run: NetworkRun) -> Words:
    """The sizes along the main path; a second head or a second scale is a path of its own."""
    paths = [[_size(run.main[0].input_shape)]]
    for index, layer in enumerate(run.layers):
        if index and run.layers[index - 1].name not in run.ancestors[layer.name]:
            paths.append([_size(_input_shape(run, layer))])
        paths[-1].append(_size(_output_shape(run, layer)))
    words = " | ".join(" → ".join(path) for path in paths)
    return words, words


Row = tuple[Words, Callable[[NetworkRun], Words]]
_SHARED: tuple[Row, ...] = (
    (("Hidden activation", "隐藏层激活函数"), _hidden_activations),
    (("Final activation", "末层激活函数"), _final_activation),
    (("Batch normalisation", "批归一化"), _batch_norms),
    (("Spectral normalisation", "谱归一化"), _spectral_norms),
    (("Kernel size", "卷积核尺寸"), _kernel_sizes),
    (("Dropout", "Dropout"), _dropouts),
    (("Self-attention", "自注意力"), _attention),
    (("Label", "标签"), _labels),
    (("Final layer", "末层"), lambda run: _layer(run, run.layers[-1])),
    (("Parameters", "参数量"), _parameters),
    (("Architecture flow", "架构流程"), _architecture_flow),
)
_FIRST: Row = (("Initial layer", "首层"), lambda run: _layer(run, run.layers[0]))
ROWS: dict[str, tuple[Row, ...]] = {
    "generator": (_FIRST, (("Upsampling method", "上采样方式"), _resizing), *_SHARED),
    "discriminator": (_FIRST, (("Downsampling method", "下采样方式"), _resizing), *_SHARED),
}
