"""Optimisers with TF 1's formulas, in TensorFlow; twin of torch_impl/optimizers.py.

They read and write their parameters in place; their state goes by the parameters' names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf
from tensorflow import Tensor

from shared_impl.config.optimizer import OptimizerConfig


class Adam:
    """``p -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + e)``; Kingma and Ba 2015, arXiv:1412.6980, section 2.

    ``e`` is epsilon (``epsilon_place=tensorflow``) or ``epsilon sqrt(1 - beta2^t)`` (``torch``).
    """

    slots = ("m", "v")

    def __init__(self, cfg: OptimizerConfig, parameters: Mapping[str, tf.Variable]) -> None:
        self.cfg = cfg
        self.parameters = dict(parameters)
        self.updates = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.moments = {
            kind: {name: tf.Variable(tf.zeros_like(p), trainable=False) for name, p in self.parameters.items()}
            for kind in self.slots
        }

    def slot(self, kind: str, name: str) -> tf.Variable:
        """The first (``m``) or second (``v``) moment of a parameter, of its shape."""
        return self.moments[kind][name]

    def restart(self) -> None:
        """Forget all updates."""
        self.updates.assign(0)
        for moments in self.moments.values():
            for moment in moments.values():
                moment.assign(tf.zeros_like(moment))

    def resume(self, updates: int) -> None:
        """Count on from so many updates."""
        self.updates.assign(updates)

    def apply(self, gradients: Sequence[Tensor], lr: Tensor | float) -> None:
        """One update; ``gradients`` in the order of the parameters."""
        lr = tf.convert_to_tensor(lr, tf.float64)  # tf.cast would take a number through float32
        updates = tf.cast(self.updates.assign_add(1), tf.float64)
        power1, power2 = (tf.pow(tf.constant(beta, tf.float64), updates) for beta in (self.cfg.beta1, self.cfg.beta2))
        stock = tf.constant(1.0, tf.float64) if self.cfg.epsilon_place == "tensorflow" else tf.sqrt(1 - power2)
        dtype = next(iter(self.parameters.values())).dtype
        shared = {
            "beta1_power": tf.cast(power1, dtype),
            "beta2_power": tf.cast(power2, dtype),
            "lr": tf.cast(lr, dtype),
            "beta1": tf.constant(self.cfg.beta1, dtype),
            "beta2": tf.constant(self.cfg.beta2, dtype),
            "epsilon": tf.cast(self.cfg.epsilon * stock, dtype),
        }
        for (name, parameter), gradient in zip(self.parameters.items(), gradients, strict=True):
            m, v = (self.moments[kind][name].handle for kind in self.slots)
            tf.raw_ops.ResourceApplyAdam(var=parameter.handle, m=m, v=v, grad=gradient, **shared)


class RMSProp:
    """``p -= lr g / sqrt(s + epsilon)`` with the mean square ``s`` starting at one, as TF 1 has it.

    Tieleman and Hinton 2012, lecture 6.5. ``torch.optim.RMSprop`` adds epsilon to the root and starts at zero.
    """

    slots = ("s",)

    def __init__(self, cfg: OptimizerConfig, parameters: Mapping[str, tf.Variable]) -> None:
        self.cfg = cfg
        self.parameters = dict(parameters)
        self.updates = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.squares = {
            name: tf.Variable(tf.fill(p.shape, tf.constant(cfg.initial_accumulator, p.dtype)), trainable=False)
            for name, p in self.parameters.items()
        }

    def slot(self, kind: str, name: str) -> tf.Variable:
        """The mean square (``s``) of a parameter, of its shape."""
        return self.squares[name]

    def restart(self) -> None:
        """Forget all updates."""
        self.updates.assign(0)
        for square in self.squares.values():
            square.assign(tf.fill(square.shape, tf.constant(self.cfg.initial_accumulator, square.dtype)))

    def resume(self, updates: int) -> None:
        """Count on from so many updates."""
        self.updates.assign(updates)

    def apply(self, gradients: Sequence[Tensor], lr: Tensor | float) -> None:
        """One update; ``gradients`` in the order of the parameters."""
        self.updates.assign_add(1)
        lr = tf.convert_to_tensor(lr, tf.float64)
        for parameter, square, gradient in zip(self.parameters.values(), self.squares.values(), gradients, strict=True):
            decay = tf.constant(self.cfg.decay, parameter.dtype)
            mean = square.assign(decay * square + (1 - decay) * tf.square(gradient))
            parameter.assign_sub(tf.cast(lr, parameter.dtype) * gradient / tf.sqrt(mean + self.cfg.epsilon))


OPTIMIZERS: dict[str, type[Adam] | type[RMSProp]] = {"adam": Adam, "rmsprop": RMSProp}


def clip(gradients: Sequence[Tensor], most: float | None) -> list[Tensor]:
    """``gradients``, scaled down together to a norm of ``most`` where it is larger (Pascanu et al. 2013).

    They stay as they are if ``most`` is None.
    """
    if most is None:
        return list(gradients)
    norm = tf.norm(tf.stack([tf.norm(gradient) for gradient in gradients]))
    scale = most / tf.maximum(norm, tf.constant(most, norm.dtype))
    return [gradient * scale for gradient in gradients]
