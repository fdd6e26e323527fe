"""ATen operations, as exported programs and scripts call them, read as the functions of ``torch.nn.functional``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Named = tuple[str, Any, Any]


def _reordered(word: str, *places: int) -> Callable[[Any, Any], Named]:
    return lambda args, kwargs: (word, [args[place] for place in places if place < len(args)], kwargs)


def _convolution(args: Any, kwargs: Any) -> Named:
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = args[:9]
    rank = weight.ndim - 2
    if transposed:
        return f"conv_transpose{rank}d", [x, weight, bias, stride, padding, output_padding, groups, dilation], {}
    return f"conv{rank}d", [x, weight, bias, stride, padding, dilation, groups], {}


def _upsampling(mode: str, corners: bool = False, antialias: bool = False) -> Callable[[Any, Any], Named]:
    def read(args: Any, kwargs: Any) -> Named:
        names = ("input", "output_size", *(("align_corners",) if corners else ()), "scale_factors")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        settings = {"mode": mode, "align_corners": given.get("align_corners"), "antialias": antialias}
        return "interpolate", [args[0], given.get("output_size"), given.get("scale_factors")], settings

    return read


def _clamped(args: Any, kwargs: Any) -> Named:
    return ("relu6" if [float(x) for x in args[1:3]] == [0.0, 6.0] else "hardtanh"), args, kwargs


# operation -> the function's name and its arguments in that function's order
READ_AS: dict[str, Callable[[Any, Any], Named]] = {
    "batch_norm": _reordered("batch_norm", 0, 3, 4, 1, 2, 5, 6, 7),
    "embedding": _reordered("embedding", 1, 0),
    "convolution": _convolution,
    "hardtanh": _clamped,
    **{f"upsample_nearest{rank}d": _upsampling("nearest") for rank in (1, 2, 3)},
    **{f"upsample_nearest_exact{rank}d": _upsampling("nearest-exact") for rank in (1, 2, 3)},
    "upsample_linear1d": _upsampling("linear", True),
    "upsample_bilinear2d": _upsampling("bilinear", True),
    "upsample_bicubic2d": _upsampling("bicubic", True),
    "upsample_trilinear3d": _upsampling("trilinear", True),
    "upsample_bilinear2d_aa": _upsampling("bilinear", True, True),
    "upsample_bicubic2d_aa": _upsampling("bicubic", True, True),
    "slice": _reordered("getitem", 0),
    **{f"{mode}_pad{rank}d": _reordered("pad", 0, 1) for mode in ("reflection", "replication") for rank in (1, 2, 3)},
    "constant_pad_nd": _reordered("pad", 0, 1),
}


def as_function(word: str, args: Any, kwargs: Any) -> Named:
    """``(name, args, kwargs)`` of the function that an operation of that name (bare of underscores) is."""
    read = READ_AS.get(word)
    return (word, args, kwargs) if read is None else read(args, kwargs)
