"""Where both sides are measured: the CPU, or a CUDA device whose products may be rounded to TensorFloat-32."""

from __future__ import annotations

import tensorflow as tf
import torch

from parity.verdict import UnusableInput

CPU = "cpu"
TF32 = {
    "torch.backends.cuda.matmul.allow_tf32": lambda: torch.backends.cuda.matmul.allow_tf32,
    "torch.backends.cudnn.allow_tf32": lambda: torch.backends.cudnn.allow_tf32,
    "tf.config.experimental.enable_tensor_float_32_execution": tf.config.experimental.tensor_float_32_execution_enabled,
}
"""Each setting that lets float32 products be rounded to 10 bits of mantissa on a GPU, and whether it is on."""


def validate_device(device: str) -> str:
    """The device by torch's name for it.

    Raises:
        UnusableInput: it is neither the CPU nor a CUDA device that torch sees.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UnusableInput(f"device {device!r}: expected cpu, cuda or cuda:N") from error
    if found.type not in (CPU, "cuda"):
        raise UnusableInput(f"device {device!r}: expected cpu, cuda or cuda:N; float64 is needed throughout")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UnusableInput(f"device {device!r}: torch sees {torch.cuda.device_count()} CUDA devices here")
    return str(found)


def tensorflow_device(device: str) -> str:
    """TensorFlow's name of the device; its CPU where it sees no such GPU."""
    number = torch.device(device).index or 0
    seen = len(tf.config.list_physical_devices("GPU")) if device != CPU else 0
    return f"/GPU:{number}" if number < seen else "/CPU:0"


def tensor_float_32(device: str) -> list[str]:
    """The settings that round float32 products to TensorFloat-32 on this device; none on a CPU."""
    return [] if device == CPU else [name for name, enabled in TF32.items() if enabled()]
