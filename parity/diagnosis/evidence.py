"""Evidence about one failing layer: its values, and what the NumPy definition of it computes. Plain NumPy.

The definition says which side is wrong; a hypothesis is a definition with a changed setting that reproduces the port's
values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from parity.capture.steps import OWN_WEIGHTS, Trace
from parity.match.alignment import Match, Matching
from parity.numerics import reference_ops
from parity.numerics.attention_forms import Form, find_form
from parity.numerics.difference import difference
from parity.numerics.reference_ops.activations import FUNCTIONS, celu, elu, leaky_relu
from parity.padding import measure_amounts, same_pads
from parity.verdict import UnusableInput

Array = np.ndarray
Explanation = tuple[str, str] | None
"""What the port does and how to fix it; None if the hypothesis does not reproduce its values."""
# Two float64 computations of one layer agree to about 1e-14, those of different layers differ by 1e-6 and more on a
# good probe: the limit stands in the geometric middle.
FIT = 1e-10
CHANNELS = 2
REFERENCE = object()
"""Default of a setting: the reference's value. None would mean no bias."""


@dataclass
class Evidence:
    """One layer on the reference's input: ``layer_input``, ``expected`` and ``got`` are in the reference's layout.

    ``got`` is None if the port's output cannot be converted to that layout.
    """

    match: Match
    layer_input: Array
    expected: Array
    got: Array | None
    weights: dict[str, Array]
    training: bool
    matching: Matching
    reference_trace: Trace
    port_trace: Trace = field(default_factory=Trace)

    @property
    def kind(self) -> str:
        """The layer's kind."""
        return self.match.reference.kind

    @property
    def settings(self) -> dict[str, Any]:
        """The reference's settings of the layer."""
        return self.match.reference.attributes

    @property
    def agrees_on_shape(self) -> bool:
        """Whether the port's values have the expected shape."""
        return self.got is not None and self.got.shape == self.expected.shape

    @cached_property
    def own_amounts(self) -> list[tuple[int, int]] | None:
        """The reference's padding or crop, measured."""
        return self.amounts(self.expected)

    def amounts(self, values: Array) -> list[tuple[int, int]] | None:
        """The padding or crop that explains ``values``, measured with the reference's kernel and input."""
        if "kernel" not in self.weights or self.kind not in ("conv", "conv-transpose"):
            return None
        depthwise = self.match.reference.layout == "depthwise"
        try:
            return measure_amounts(
                self.weights["kernel"],
                self.layer_input,
                values,
                op="depthwise" if depthwise else self.kind,
                strides=self.settings["strides"],
                dilation=self.settings["dilation"],
                groups=1 if depthwise else self.settings["groups"],
                bias=self.weights.get("bias"),
            )
        except UnusableInput:
            return None

    def agrees(self, predicted: Array | None) -> bool:
        """Whether the port's values equal the prediction, and the reference's do not, on the channels predicted.

        What holds for both sides explains nothing.
        """
        return self.got is not None and _same(self.got, predicted) and not _same(self.expected, predicted)

    def reference_is(self, predicted: Array | None) -> bool:
        """Whether the reference's values equal the prediction, on the channels that were predicted."""
        return _same(self.expected, predicted)

    def equals(self, predicted: Array) -> bool:
        """Whether the port's values equal the prediction on all channels."""
        return self.got is not None and self.got.shape == predicted.shape and self.agrees(predicted)

    def predict(self, layer_input: Array | None = None, **changes: Any) -> Array | None:
        """The definition's output for ``layer_input`` (default: the reference's input), with some settings changed.

        ``kernel``, ``bias`` and ``amounts`` may be given for convolutions and dense layers, ``epsilon``, ``unbiased``
        and ``training`` for batch normalisation, ``epsilon`` and ``groups`` for layer and group normalisation, ``mode``
        for resizing, ``function`` for activations, ``factor`` and ``softmax`` for self-attention, ``axis`` for factors
        and offsets, ``count_padding`` for pooling. Wide layers are predicted on two channels.
        None if there is no definition of this kind of layer.
        """
        define = DEFINITIONS.get(self.kind)
        try:
            with np.errstate(all="ignore"):  # a changed setting may be one for which nothing is defined
                x = self.layer_input if layer_input is None else layer_input
                return define(self, x, **changes) if define else None
        except (UnusableInput, ValueError, IndexError):
            return None

    @cached_property
    def attention(self) -> Form | None:
        """The form of self-attention that reproduces the reference's block, if it is one."""
        inner = [self.reference_trace.outputs.get(name) for name in self.match.reference.inside]
        gains = [float(value.reshape(())) for value in self.weights.values() if value.size == 1]
        return find_form([x for x in inner if x is not None], gains, self.layer_input, self.expected, FIT)

    def verdict_of_referee(self) -> str:
        """Which side the definition agrees with: both, reference, port, neither; "" if there is no definition."""
        predicted = self.predict()
        if predicted is None:
            return ""
        sides = (_same(self.expected, predicted), self.got is not None and _same(self.got, predicted))
        return {(True, True): "both", (True, False): "reference", (False, True): "port"}.get(sides, "neither")


def _same(values: Array, predicted: Array | None) -> bool:
    if predicted is None or values.ndim != predicted.ndim or values.shape[:-1] != predicted.shape[:-1]:
        return False
    if values.shape[-1] < predicted.shape[-1]:
        return False
    return difference(values[..., : predicted.shape[-1]], predicted).relative <= FIT


def _conv(evidence: Evidence, x: Array, kernel: Array | None = None, bias: Any = REFERENCE, amounts: Any = None) -> Any:
    settings = {"strides": evidence.settings["strides"], "dilation": evidence.settings["dilation"]}
    kernel = evidence.weights["kernel"] if kernel is None else kernel
    bias = evidence.weights.get("bias") if bias is REFERENCE else bias
    amounts = evidence.own_amounts if amounts is None else amounts
    if amounts is None:
        return None
    amounts = _reaching(evidence, x, kernel, amounts)
    if evidence.match.reference.layout == "depthwise":
        return reference_ops.depthwise_conv(x, kernel, bias, pads=amounts, **settings)
    if evidence.settings["groups"] == 1:
        few = slice(0, CHANNELS)
        kernel = kernel[..., few] if evidence.kind == "conv" else kernel[..., few, :]
        bias = None if bias is None else bias[few]
    if evidence.kind == "conv":
        return reference_ops.conv(x, kernel, bias, pads=amounts, groups=evidence.settings["groups"], **settings)
    return reference_ops.conv_transpose(x, kernel, bias, crops=amounts, **settings)


def _reaching(evidence: Evidence, x: Array, kernel: Array, amounts: Any) -> Any:
    """Measured pads count only what windows read; rows left unread at the end are removed here."""
    if evidence.kind != "conv":
        return amounts
    reaching = []
    for axis, (before, after) in enumerate(amounts):
        extent = (kernel.shape[axis] - 1) * evidence.settings["dilation"][axis] + 1
        stride = evidence.settings["strides"][axis]
        unread = (x.shape[1 + axis] + before + after - extent) % stride
        reaching.append((before, after - unread))
    return reaching


def _dense(evidence: Evidence, x: Array, kernel: Array | None = None, bias: Any = REFERENCE) -> Array:
    kernel = evidence.weights["kernel"] if kernel is None else kernel
    bias = evidence.weights.get("bias") if bias is REFERENCE else bias
    few = slice(0, 64)
    return reference_ops.dense(x, kernel[:, few], None if bias is None else bias[few])


def _batchnorm(
    evidence: Evidence, x: Array, epsilon: float | None = None, unbiased: bool = False, training: bool | None = None
) -> Array:
    w = evidence.weights
    training = evidence.training if training is None else training
    if training or not evidence.settings.get("tracked", True):
        mean, biased, corrected = reference_ops.moments(x)
        variance = corrected if unbiased else biased
    else:
        mean, variance = w["moving_mean"], w["moving_variance"]
    ones, zeros = np.ones(x.shape[-1]), np.zeros(x.shape[-1])
    epsilon = evidence.settings["epsilon"] if epsilon is None else epsilon
    return reference_ops.batchnorm(x, w.get("gamma", ones), w.get("beta", zeros), mean, variance, epsilon)


def _upsample(evidence: Evidence, x: Array, mode: str | None = None) -> Array:
    return reference_ops.upsample(x, evidence.settings["factor"], mode or evidence.settings["mode"])


def _layernorm(evidence: Evidence, x: Array, epsilon: float | None = None) -> Array:
    """Over the axes that the weights have, the last one where there are none."""
    w = evidence.weights
    rank = max((value.ndim for value in w.values()), default=1)
    epsilon = evidence.settings["epsilon"] if epsilon is None else epsilon
    return reference_ops.layernorm(x, w.get("gamma"), w.get("beta"), epsilon, tuple(range(-rank, 0)))


def _groupnorm(evidence: Evidence, x: Array, epsilon: float | None = None, groups: int | None = None) -> Array:
    w = evidence.weights
    epsilon = evidence.settings["epsilon"] if epsilon is None else epsilon
    return reference_ops.groupnorm(x, w.get("gamma"), w.get("beta"), epsilon, groups or evidence.settings["groups"])


def _activation(evidence: Evidence, x: Array, function: str | None = None) -> Array | None:
    slope = evidence.settings.get("slope")
    if function is None:
        function = own_function(evidence)
        if function == "leaky_relu":
            return leaky_relu(x, float(slope or 0))
        if function in PARAMETRIC and slope is not None:
            return PARAMETRIC[function](x, slope)
    return FUNCTIONS[function](x) if function in FUNCTIONS else None


PARAMETRIC: dict[str, Callable[[Array, float], Array]] = {"elu": elu, "celu": celu}


def own_function(evidence: Evidence) -> str:
    """The name of the reference's function in :data:`FUNCTIONS`."""
    name = str(evidence.settings["function"])
    return "gelu_tanh" if name == "gelu" and evidence.settings.get("approximate") else name


def _affine(evidence: Evidence, x: Array, axis: int = -1) -> Array:
    """``x * scale + offset``, one value for each place along ``axis``, or one for all."""
    moved = np.moveaxis(x, axis, -1)
    scale, offset = (np.ravel(evidence.weights.get(slot, default)) for slot, default in (("scale", 1), ("offset", 0)))
    return np.moveaxis(moved * scale + offset, -1, axis)


def _embedding(evidence: Evidence, x: Array) -> Array:
    return evidence.weights["embeddings"][x.astype(int)]


def _attention(evidence: Evidence, x: Array, factor: float | None = None, softmax: str | None = None) -> Array | None:
    form = evidence.attention
    if form is None:
        return None
    if factor is not None or softmax is not None:
        form = replace(form, factor=form.factor if factor is None else factor, softmax=softmax or form.softmax)
    return form.result.reshape(evidence.expected.shape)


def _pool(evidence: Evidence, x: Array, count_padding: bool | None = None) -> Array | None:
    """Pooling; None after explicit padding layers, whose amounts are unknown."""
    settings = evidence.settings
    size, strides = settings["pool_size"], settings["strides"]
    same = settings["padding"] == "same"
    amounts = same_pads(x.shape[1:-1], size, strides) if same else [(0, 0)] * len(size)
    counted = settings.get("count_padding", False) if count_padding is None else count_padding
    return reference_ops.pool(x, size, strides, amounts, settings["mode"], counted)


def _dropout(evidence: Evidence, x: Array) -> Array:
    """The identity: dropout is disabled during measurement, because the frameworks' random numbers differ."""
    return x


DEFINITIONS: dict[str, Callable[..., Array | None]] = {
    "conv": _conv,
    "conv-transpose": _conv,
    "dense": _dense,
    "batchnorm": _batchnorm,
    "layernorm": _layernorm,
    "groupnorm": _groupnorm,
    "upsample": _upsample,
    "activation": _activation,
    "embedding": _embedding,
    OWN_WEIGHTS: _attention,
    "pool": _pool,
    "dropout": _dropout,
    "affine": _affine,
}
