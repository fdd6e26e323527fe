"""How far two models are apart in float64 with weights copied by hand: what parity's verdict is held against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import torch
from torch import nn

# Networks of a few hundred layers round by less in float64 (2^-53, times what one layer amplifies). Constants that one
# side keeps in float32 are off by 2^-24 = 6e-8: allowed for where a pair says that it has some.
ROUNDING = 1e-10
SINGLE = 1e-7
DROPS_BY_FUNCTION = ("EfficientNet", "MobileNetV3")  # timm's, which call F.dropout before their classifier


@contextmanager
def float64() -> Iterator[None]:
    """Both frameworks build in float64."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
        torch.set_default_dtype(torch.float32)


def randomise(model: keras.Model, seed: int = 0) -> None:
    """Weights that hide nothing: no zero bias, no unit scale, means of both signs; kernels keep the variance."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            continue
        for variable in layer._trainable_variables + layer._non_trainable_variables:
            name, shape = variable.path.split("/")[-1], tuple(variable.shape)
            if "seed" in variable.path or name == "count":
                continue
            if name in ("gamma", "moving_variance", "scale"):
                variable.assign(rng.uniform(0.5, 1.5, shape))
            elif len(shape) < 2:
                variable.assign(rng.normal(0, 0.2, shape))
            else:
                inputs = np.prod(shape[:-2]) if "depthwise" in type(layer).__name__.lower() else np.prod(shape[:-1])
                variable.assign(rng.normal(0, np.sqrt(1.5 / inputs), shape))


def randomise_torch(module: nn.Module, seed: int = 0) -> None:
    """The same for a torch module."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for path, tensor in [*module.named_parameters(), *module.named_buffers()]:
            name, shape = path.split(".")[-1], tuple(tensor.shape)
            if name == "num_batches_tracked" or not tensor.is_floating_point():
                continue
            if name == "running_var" or (name in ("weight", "scale") and len(shape) < 2):
                value = rng.uniform(0.5, 1.5, shape)
            elif len(shape) < 2:
                value = rng.normal(0, 0.2, shape)
            else:
                value = rng.normal(0, np.sqrt(1.5 / np.prod(shape[1:])), shape)
            tensor.copy_(torch.from_numpy(np.asarray(value)))


def inputs_of(model: keras.Model, largest: float = 1.0, batch: int = 3, seed: int = 1) -> np.ndarray:
    """Random images in the reference's layout, (batch, H, W, channels); bytes where ``largest`` is 255."""
    shape = [n or 64 for n in model.inputs[0].shape[1:]]
    return np.random.default_rng(seed).uniform(0.0 if largest == 255 else -largest, largest, (batch, *shape))


@dataclass
class Truth:
    """Relative errors in evaluation, in training with dropout off, of moving means; rates of dropout of both sides."""

    evaluation: float
    training: float
    statistics: float
    dropout: tuple[tuple[float, ...], tuple[float, ...]]
    error: str = ""

    @property
    def same_dropout(self) -> bool:
        """Whether the same rates occur on both sides."""
        mine, theirs = self.dropout
        return len(mine) == len(theirs) and bool(np.allclose(sorted(mine), sorted(theirs), atol=1e-9))

    def faithful(self, limit: float = ROUNDING) -> str:
        """``"training"``, ``"inference"`` or ``""``."""
        if self.error or not self.evaluation <= limit:
            return ""
        deep = max(self.training, self.statistics) <= limit * 1e3  # batch statistics of few values amplify rounding
        return "training" if deep and self.same_dropout else "inference"

    def __str__(self) -> str:
        mine, theirs = self.dropout
        rates = "" if self.same_dropout else f" dropout {_short(mine)} / {_short(theirs)}"
        text = f"eval {self.evaluation:.0e} train {self.training:.0e} stats {self.statistics:.0e}{rates}"
        return self.error or text


def _short(rates: tuple[float, ...]) -> str:
    return f"{len(rates)}x..{max(rates, default=0):.2f}"


def measure(reference: keras.Model, port: nn.Module, means: dict[str, keras.Variable], largest: float = 1.0) -> Truth:
    """Run both in float64; ``means`` are ``{batch norm of the port: the reference's moving mean}``."""
    given = inputs_of(reference, largest)
    image = torch.from_numpy(np.ascontiguousarray(np.moveaxis(given, -1, 1)))
    rates = (_silence_reference(reference), _silence_port(port, image))
    found = {}
    for training in (False, True):
        port.train(training)
        try:
            with torch.no_grad():
                theirs = outputs_of(port(image))
        except (RuntimeError, ValueError) as error:
            return Truth(np.inf, np.inf, np.inf, rates, f"port stops: {str(error).splitlines()[0][:100]}")
        mine = outputs_of(reference(given, training=training))
        found[training] = max(apart(a, b) for a, b in zip(mine, theirs, strict=True))
    return Truth(found[False], found[True], _statistics(port, means), rates)


def outputs_of(result: object) -> list[np.ndarray]:
    """Arrays in a result, channels last."""
    if isinstance(result, torch.Tensor):
        array = result.detach().numpy()
        return [np.moveaxis(array, 1, -1) if array.ndim > 2 else array]
    if hasattr(result, "logits"):
        return outputs_of(result.logits)
    if hasattr(result, "last_hidden_state"):
        return outputs_of(result.last_hidden_state)
    if isinstance(result, dict):
        return [one for value in result.values() for one in outputs_of(value)]
    if isinstance(result, (list, tuple)):
        return [one for value in result for one in outputs_of(value)]
    return [np.asarray(result)]


def apart(expected: np.ndarray, actual: np.ndarray) -> float:
    """Largest difference over the largest expected value."""
    if expected.shape != actual.shape:
        return float("inf")
    return float(np.abs(expected - actual).max() / max(np.abs(expected).max(), 1e-300))


def _statistics(port: nn.Module, means: dict[str, keras.Variable]) -> float:
    modules = dict(port.named_modules())
    errors = [apart(np.asarray(mean.numpy()), modules[path].running_mean.numpy()) for path, mean in means.items()]
    return max(errors, default=0.0)


def _silence_reference(model: keras.Model) -> tuple[float, ...]:
    rates = []
    for layer in model._flatten_layers():
        for name in ("rate", "drop_path_rate"):
            if isinstance(getattr(layer, name, None), (int, float)):
                rates.append(float(getattr(layer, name)))
                setattr(layer, name, 0.0)
    return tuple(rate for rate in rates if rate > 0)


def _silence_port(module: nn.Module, image: torch.Tensor) -> tuple[float, ...]:
    """Rates of the modules that drop and are really run; all of them are set to zero."""
    executed: list[nn.Module] = []
    droppers = [part for part in module.modules() if _drops(part)]
    handles = [part.register_forward_hook(lambda part, given, result: executed.append(part)) for part in droppers]
    statistics = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    try:
        with torch.no_grad():
            module.train()(image)
    except (RuntimeError, ValueError):
        executed = droppers
    for handle in handles:
        handle.remove()
    module.load_state_dict(statistics)
    rates = [_drops(part) for part in executed]
    for part in module.modules():
        if type(part).__name__ in DROPS_BY_FUNCTION and hasattr(part, "drop_rate"):
            rates.append(float(vars(part)["drop_rate"]))
            vars(part)["drop_rate"] = 0.0
    for part in droppers:
        for name in ("p", "drop_prob", "drop_rate"):
            if isinstance(getattr(part, name, None), (int, float)):
                setattr(part, name, 0.0)
    return tuple(rate for rate in rates if rate > 0)


def _drops(part: nn.Module) -> float:
    if not any(word in type(part).__name__ for word in ("Drop", "StochasticDepth")):
        return 0.0
    return next((float(getattr(part, n)) for n in ("p", "drop_prob", "drop_rate") if getattr(part, n, None)), 0.0)
