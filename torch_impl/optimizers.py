"""Optimisers with TF 1's formulas, in torch; twin of tf_impl/optimizers.py.

They read and write their parameters in place, and use up what these hold as their gradients; their state goes by the
parameters' names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from shared_impl.config.optimizer import OptimizerConfig


class Adam:
    """``p -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + e)``; Kingma and Ba 2015, arXiv:1412.6980, section 2.

    ``e`` is epsilon (``epsilon_place=tensorflow``) or ``epsilon sqrt(1 - beta2^t)`` (``torch``).
    """

    slots = ("m", "v")

    def __init__(self, cfg: OptimizerConfig, parameters: Mapping[str, Tensor]) -> None:
        self.cfg = cfg
        self.parameters = dict(parameters)
        self.updates = 0
        self.adam = torch.optim.Adam(self.parameters.values(), lr=0.0, betas=(cfg.beta1, cfg.beta2), fused=True)
        for parameter in self.parameters.values():
            self.adam.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    def slot(self, kind: str, name: str) -> Tensor:
        """The first (``m``) or second (``v``) moment of a parameter, of its shape."""
        return self.adam.state[self.parameters[name]]["exp_avg" if kind == "m" else "exp_avg_sq"]

    def restart(self) -> None:
        """Forget all updates."""
        self.resume(0)
        for state in self.adam.state.values():
            state["exp_avg"].zero_()
            state["exp_avg_sq"].zero_()

    def resume(self, updates: int) -> None:
        """Count on from so many updates."""
        self.updates = updates
        for state in self.adam.state.values():
            state["step"].fill_(updates)

    def apply(self, gradients: Sequence[Tensor], lr: float) -> None:
        """One update; ``gradients`` in the order of the parameters."""
        self.updates += 1
        stock = math.sqrt(1 - self.cfg.beta2**self.updates) if self.cfg.epsilon_place == "tensorflow" else 1.0
        self.adam.param_groups[0].update(lr=lr, eps=self.cfg.epsilon / stock)  # torch divides the root by it
        for parameter, gradient in zip(self.parameters.values(), gradients, strict=True):
            parameter.grad = _laid_out_as(parameter, gradient)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)


class RMSProp:
    """``p -= lr g / sqrt(s + epsilon)`` with the mean square ``s`` starting at one, as TF 1 has it.

    Tieleman and Hinton 2012, lecture 6.5. ``torch.optim.RMSprop`` adds epsilon to the root and starts at zero.
    """

    slots = ("s",)

    def __init__(self, cfg: OptimizerConfig, parameters: Mapping[str, Tensor]) -> None:
        self.cfg = cfg
        self.parameters = dict(parameters)
        self.updates = 0
        self.squares = {name: torch.full_like(p, cfg.initial_accumulator) for name, p in self.parameters.items()}

    def slot(self, kind: str, name: str) -> Tensor:
        """The mean square (``s``) of a parameter, of its shape."""
        return self.squares[name]

    def restart(self) -> None:
        """Forget all updates."""
        self.resume(0)
        for square in self.squares.values():
            square.fill_(self.cfg.initial_accumulator)

    def resume(self, updates: int) -> None:
        """Count on from so many updates."""
        self.updates = updates

    @torch.no_grad()
    def apply(self, gradients: Sequence[Tensor], lr: float) -> None:
        """One update; ``gradients`` in the order of the parameters."""
        self.updates += 1
        for parameter, square, gradient in zip(self.parameters.values(), self.squares.values(), gradients, strict=True):
            square.mul_(self.cfg.decay).addcmul_(gradient, gradient, value=1 - self.cfg.decay)
            parameter.addcdiv_(gradient, (square + self.cfg.epsilon).sqrt_(), value=-lr)
            parameter.grad = None


OPTIMIZERS: dict[str, type[Adam] | type[RMSProp]] = {"adam": Adam, "rmsprop": RMSProp}


def clip(gradients: Sequence[Tensor], most: float | None) -> list[Tensor]:
    """``gradients``, scaled down together to a norm of ``most`` where it is larger (Pascanu et al. 2013).

    They stay as they are if ``most`` is None.
    """
    if most is None:
        return list(gradients)
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]))
    scale = most / norm.clamp(min=most)
    return [gradient * scale for gradient in gradients]


def _laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in the parameter's memory layout: torch's fused Adam pairs values by address, not by index."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
