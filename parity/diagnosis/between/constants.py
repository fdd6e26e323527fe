"""Numbers and the names by which a reader knows them. Plain NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterable

# Names hold for numbers that agree to float32's unit roundoff: a constant may be kept in float32.
CLOSE = 2.0**-24
LOG_BASES: dict[str, float] = {
    "ln 2": math.log(2),
    "1 / ln 2": 1 / math.log(2),
    "ln 10": math.log(10),
    "1 / ln 10": 1 / math.log(10),
    "log10(2)": math.log10(2),
    "log2(10)": math.log2(10),
    "10 / ln 10": 10 / math.log(10),
    "ln 10 / 10": math.log(10) / 10,
    "20 / ln 10": 20 / math.log(10),
    "ln 10 / 20": math.log(10) / 20,
}
NAMED: dict[str, float] = {
    **LOG_BASES,
    "1 / 255": 1 / 255,
    "1 / 127.5": 1 / 127.5,
    "127.5": 127.5,
    "pi": math.pi,
    "2 pi": 2 * math.pi,
    "1 / (2 pi)": 1 / (2 * math.pi),
    "e": math.e,
    "1.702": 1.702,
    "SELU's scale": 1.0507009873554805,
}


def close(a: float, b: float) -> bool:
    """Whether two numbers may be one, kept in float32 at least."""
    return abs(a - b) <= CLOSE * max(abs(a), abs(b))


def log_ratio(number: float) -> str:
    """The name of a ratio between two logarithms, or ""."""
    return next((name for name, value in LOG_BASES.items() if close(number, value)), "")


def named(number: float, sizes: Iterable[int] = ()) -> str:
    """A number with the name by which it is known: a root, a fraction, a constant.

    Roots and reciprocals of ``sizes`` (of axes) are named first; ``""`` if none fits.
    """
    size = abs(number)
    sign = "-" if number < 0 else ""
    for n in dict.fromkeys(sizes):
        for name, value in (
            (f"1 / sqrt({n})", n**-0.5),
            (f"sqrt({n})", n**0.5),
            (f"1 / {n}", 1 / n),
        ):
            if n > 1 and close(size, value):
                return sign + name
    for name, value in NAMED.items():
        if close(size, value):
            return sign + name
    return sign + name if (name := _root_or_fraction(size)) else ""


def _root_or_fraction(size: float) -> str:
    if not 1e-5 < size < 1e5 or close(size, round(size)):
        return ""
    if close(size**2, round(size**2)):
        return f"sqrt({round(size**2)})"
    if close(size**-2, round(size**-2)) and not close(1 / size, round(1 / size)):
        return f"1 / sqrt({round(size**-2)})"
    for below in range(2, 1025):
        if close(size * below, round(size * below)):
            return "" if len(f"{nearest_decimal(size):g}") <= 6 else f"{round(size * below)} / {below}"
    return ""


def shown(number: float, sizes: Iterable[int] = ()) -> str:
    """A number in short, followed by its name if it has one."""
    name = named(number, sizes)
    brief = next(text for digits in (6, 9, 17) if float(text := f"{number:.{digits}g}") != 1.0 or number == 1.0)
    return f"{brief} ({name})" if name and name != brief else brief


def nearest_decimal(number: float) -> float:
    """The shortest decimal that agrees with a solved number to float32's roundoff, or the number itself."""
    for digits in range(1, 8):
        candidate = float(f"{number:.{digits}g}")
        if close(number, candidate):
            return candidate
    return number
