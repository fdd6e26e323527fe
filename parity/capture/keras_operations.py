"""The kind and settings of the operations of a functional Keras model: ``keras.ops.relu(x)``, ``x + y``."""

from __future__ import annotations

from typing import Any

# By the operation's class name.
OPERATION_SETTINGS = {
    "LeakyRelu": ("leaky_relu", "slope", "negative_slope"),
    "Elu": ("elu", "slope", "alpha"),
    "Gelu": ("gelu", "approximate", "approximate"),
}
REDUCTIONS = {"Mean": "average", "Max": "max"}
OPERATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "Relu": ("activation", {"function": "relu"}),
    "Relu6": ("activation", {"function": "relu6"}),
    "Tanh": ("activation", {"function": "tanh"}),
    "Sigmoid": ("activation", {"function": "sigmoid"}),
    "Silu": ("activation", {"function": "silu"}),
    "Softplus": ("activation", {"function": "softplus"}),
    "Softmax": ("activation", {"function": "softmax"}),
    "LogSoftmax": ("activation", {"function": "log_softmax"}),
    "Selu": ("activation", {"function": "selu"}),
    "Softsign": ("activation", {"function": "softsign"}),
    "Add": ("merge", {"operation": "add"}),
    "Subtract": ("merge", {"operation": "subtract"}),
    "Multiply": ("merge", {"operation": "multiply"}),
    "Divide": ("merge", {"operation": "divide"}),
    "TrueDivide": ("merge", {"operation": "divide"}),
    "Maximum": ("merge", {"operation": "maximum"}),
    "Minimum": ("merge", {"operation": "minimum"}),
    "Concatenate": ("merge", {"operation": "concatenate"}),
    "Reshape": ("reshape", {}),
    "Transpose": ("permute", {}),
    "Squeeze": ("reshape", {}),
    "ExpandDims": ("reshape", {}),
    "Pad": ("padding", {}),
    "GetItem": ("crop", {}),
}


def classify_operation(operation: Any, shape: Any) -> tuple[str | None, dict[str, Any]]:
    """``(kind, attributes)`` of a bare operation given a tensor of that shape, or ``(None, {})``."""
    word = type(operation).__name__
    if word in REDUCTIONS:
        axes = operation.axis if isinstance(operation.axis, (tuple, list)) else [operation.axis]
        spatial = None not in axes and sorted(axis % len(shape) for axis in axes) == list(range(1, len(shape) - 1))
        return ("global-pool", {"mode": REDUCTIONS[word]}) if spatial else (None, {})
    if word in OPERATION_SETTINGS:
        function, setting, attribute = OPERATION_SETTINGS[word]
        return "activation", {"function": function, setting: getattr(operation, attribute)}
    kind, attributes = OPERATIONS.get(word, (None, {}))
    return kind, dict(attributes)
