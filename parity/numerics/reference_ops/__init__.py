"""What each operation is by definition, in NumPy float64, channels last, for one to three spatial axes. Plain NumPy.

The definitions are the third opinion beside both frameworks: they say which side is wrong. Kernels are Keras's: conv
``(*k, in/groups, out)``, transposed conv ``(*k, out/groups, in)``, depthwise ``(*k, in, multiplier)``, dense
``(in, out)``. Padding and cropping are always explicit ``(before, after)`` amounts per axis (:mod:`parity.padding`
knows which ones a framework takes), so that no framework's convention is built in.
"""

from parity.numerics.reference_ops.attention import attention
from parity.numerics.reference_ops.axes import extend, per_axis
from parity.numerics.reference_ops.convolutions import (
    conv,
    conv_transpose,
    dense,
    depthwise_as_grouped,
    depthwise_conv,
)
from parity.numerics.reference_ops.normalisation import batchnorm, groupnorm, layernorm, moments
from parity.numerics.reference_ops.resampling import pool, resize, upsample

__all__ = [
    "attention",
    "batchnorm",
    "conv",
    "conv_transpose",
    "dense",
    "depthwise_as_grouped",
    "depthwise_conv",
    "extend",
    "groupnorm",
    "layernorm",
    "moments",
    "per_axis",
    "pool",
    "resize",
    "upsample",
]
