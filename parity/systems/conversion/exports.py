"""A network exported to a file, which is kept only if it loads again and computes what the run's network computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import torch_impl
from parity.numerics.difference import TINY, difference, scale
from parity.numerics.tolerance import FLOAT64_ROUNDOFF, PRECISION_RATIO, ROUNDING_LIMIT, float64_limit
from parity.systems.conversion.formats import FORMATS, Format, held
from parity.systems.conversion.networks import WORDS, Source, channels_first, source
from parity.systems.conversion.states import advice
from parity.verdict import NotFaithful, UnusableInput, first_line
from shared_impl import files
from shared_impl.config.presets import select
from shared_impl.storage.checkpoints import Checkpoint

Array = np.ndarray
INPUTS = 8  # another batch than the 2 that exporters see
FLOAT32_ROUNDOFF = FLOAT64_ROUNDOFF / PRECISION_RATIO


@dataclass(frozen=True)
class Export:
    """What was written, and how far it is from the run's own network in float64, over the largest output.

    ``limit`` in float32 is :data:`parity.numerics.tolerance.ROUNDING_LIMIT` times the rounding that the run's own
    network shows, in float64 :func:`parity.numerics.tolerance.float64_limit`. ``exact`` of ``arrays`` arrays came back
    bit for bit.
    """

    path: Path
    source: Source
    format: Format
    dtype: str
    values: int
    apart: float
    limit: float
    arrays: int
    exact: int

    @property
    def passed(self) -> bool:
        """Whether the file holds what the run holds."""
        return self.apart <= self.limit and self.exact == self.arrays


def export(checkpoint: Checkpoint, path: Path, network: str = "generator") -> Export:
    """Write a network of a checkpoint to a file whose suffix names its format, and check the file.

    Raises UnusableInput for packages that are missing and a file that cannot be written, NotFaithful if the file does
    not compute what the run does (it is gone then), ConfigError for another suffix, and whatever
    :func:`parity.systems.conversion.networks.source` raises.
    """
    form = select(FORMATS, path.suffix, "suffix")
    if form.missing:
        raise UnusableInput(
            f"{path}: {path.suffix} needs {', '.join(form.missing)}: pip install 'parity-bridge[export]'"
        )
    origin = source(checkpoint, network)
    dtype = form.dtype or origin.dtype
    written = origin.across(form.framework).build(dtype)
    try:
        with files.replacing(path) as draft:
            _write(form, written, draft, origin, checkpoint.step, dtype)
            result = _check(form, written, draft, path, origin, dtype)
            if not result.passed:
                raise NotFaithful(_unfaithful(result))
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be written: {error.strerror or first_line(error)}") from error
    return result


def _write(form: Format, network: Any, draft: Path, origin: Source, step: int, dtype: str) -> None:
    given = origin.inputs(2, dtype)
    arranged = [channels_first(x) for x in given] if form.framework == "torch" else given
    form.write(network, draft, arranged, _notes(origin, step, dtype))


def _check(form: Format, written: Any, draft: Path, path: Path, origin: Source, dtype: str) -> Export:
    exact, rounded = (origin.function(kind)(*origin.inputs(INPUTS, kind)) for kind in ("float64", "float32"))
    loaded = form.read(draft, lambda: _fresh(origin, dtype))
    found = difference(loaded.function(*origin.inputs(INPUTS, dtype)), exact)
    if dtype == "float64":
        limit = float64_limit(exact, rounded)
    else:
        own = difference(rounded, exact).absolute
        limit = ROUNDING_LIMIT * max(own, FLOAT32_ROUNDOFF * scale(exact))
    kept, largest = held(form.framework, written), max(scale(exact), TINY)
    return Export(
        path, origin, form, dtype,
        values=sum(array.size for array in origin.arrays.values()),
        apart=found.absolute / largest,
        limit=limit / largest,
        arrays=len(loaded.arrays),
        exact=sum(name in kept and array.tobytes() == kept[name].tobytes() for name, array in loaded.arrays.items()),
    )  # fmt: skip


def _fresh(origin: Source, dtype: str) -> Any:
    return torch_impl.build(origin.config.model, origin.network).to(getattr(torch, dtype)).eval().requires_grad_(False)


def _notes(origin: Source, step: int, dtype: str) -> dict[str, str]:
    """What the file holds, for whoever finds it."""
    model = origin.config.model
    latents = f"z [batch, {model.nz}] {dtype}, {origin.config.training.latents}"
    images = f"images [batch, {model.nc}, side, side] {dtype} in [-1, 1]"
    scores = f"{'probabilities' if model.probabilities else 'logits'} [batch] {dtype}"
    into, out = (latents, images) if origin.network == "generator" else (images, scores)
    if len(origin.inputs(1, dtype)) > 1:
        into += f"; label [batch] int64, 0 to {model.labels - 1}"
    if origin.network == "discriminator" and model.auxiliary:
        out += f"; classes [batch, {model.labels}] {dtype}"
    return {
        "network": WORDS[origin.scope],
        "trained_in": origin.framework,
        "step": str(step),
        "model": model.model_dump_json(),
        "input": into,
        "output": out,
    }


def _unfaithful(result: Export) -> str:
    message = f"{result.path}: loaded again in {result.format.version} it is not what the run holds: outputs differ by "
    message += f"{result.apart:.2g} of the largest, expected at most {result.limit:.2g}"
    if result.exact < result.arrays:
        message += f", and {result.arrays - result.exact} of {result.arrays} arrays are others"
    return f"{message}{advice(result.source.config)}; nothing was written"
