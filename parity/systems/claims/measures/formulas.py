"""Formulas as a document writes them, evaluated in torch beside the implementations' own."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.systems.chains import Twins, keras_float64, relative_error, to_numpy
from parity.systems.claims.measures.registry import Figures, measure
from parity.systems.claims.measures.settings import configuration
from parity.systems.claims.wording import evaluate

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation that torchvision's VGG19 knows


def implemented(preset: str, name: str, *scores: Any) -> list[float]:
    """``d_loss`` or ``g_loss`` of a preset from torch scores, in both implementations."""
    import tensorflow as tf

    from tf_impl import losses as keras_losses
    from torch_impl import losses as torch_losses

    cfg, values = configuration(preset).loss, [tf.constant(score.numpy()) for score in scores]
    return [float(getattr(torch_losses, name)(cfg, *scores)), float(getattr(keras_losses, name)(cfg, *values))]


def gradient(function: Any, at: Any) -> Any:
    """The gradient of a function's sum at a tensor."""
    import torch

    at = at.detach().clone().requires_grad_()
    return torch.autograd.grad(function(at).sum(), at)[0]


@measure("error <= AGREE")
def formulas(twins: Twins, figures: dict[str, str]) -> Figures:
    """Expressions by name, one after the other; each may use those before it. Tensors without axes become numbers.

    They may name whatever ``torch.nn`` and ``torch.nn.functional`` hold, ``torch`` itself, ``batch(*shape, place=0)``
    (random values), ``gradient(function, at)``, ``apart(a, b)`` (largest absolute difference), ``difference(a, b)``
    (relative), ``implemented(preset, loss, *scores)``, ``config(preset)``, ``chain(name)``, ``keras`` and torch_impl's
    ``losses`` and ``features``.
    """
    import keras
    import torch
    from torch import nn

    from torch_impl import features, losses

    def apart(left: Any, right: Any) -> float:
        pairs = [np.asarray(side.detach() if hasattr(side, "detach") else side) for side in (left, right)]
        return float(np.abs(pairs[0] - pairs[1]).max())

    names: dict[str, Any] = {**vars(nn.functional), **vars(nn), "torch": torch, "keras": keras}
    names |= {"losses": losses, "features": features}
    names |= {"batch": twins.batch, "gradient": gradient, "apart": apart, "difference": relative_error}
    names |= {"implemented": implemented, "config": configuration, "chain": twins.__getitem__, "float": float}
    names |= {"range": range, "bool": bool, "next": next, "ones_like": torch.ones_like, "tensor": torch.tensor}
    found: Figures = {}
    for name, expression in figures.items():
        value = evaluate(expression, {**names, **found})
        found[name] = value.item() if isinstance(value, torch.Tensor) and value.ndim == 0 else value
    return found


@measure("layers == 36 and error <= AGREE")
def perceptual_features(twins: Twins) -> Figures:
    """Layers of our VGG19, our loss against L1, and how far features of images are that nobody normalised."""
    import torch

    from torch_impl.features import VGG19, perceptual_loss

    network = VGG19(4).double().eval()
    for place, p in enumerate(network.parameters()):  # He et al. 2015: signals keep their size through ReLUs
        p.data = twins.batch(*p.shape, place=place) * (2 / p[0].numel()) ** 0.5 if p.ndim > 1 else p.data * 0
    images = twins.batch(2, 3, 32, 32).tanh()
    mean, std = (torch.tensor(values).double()[:, None, None] for values in IMAGENET)
    with torch.no_grad():
        raw, normalised = network(images), network(((images + 1) / 2 - mean) / std)
        error = abs(float(perceptual_loss(raw, normalised)) - float(torch.nn.functional.l1_loss(raw, normalised)))
    return {"layers": len(network), "error": error, "away": relative_error(raw, normalised)}


@measure("error < 1e-9 and itself < 1e-9")
def frechet_distance(twins: Twins) -> Figures:
    """The distance with √(Σ₁Σ₂) of two normal distributions against its symmetric form, and of one to ``itself``."""
    rng = np.random.RandomState(twins.seed)
    real, fake = rng.standard_normal((500, 6)), 0.5 + 1.5 * rng.standard_normal((500, 6))
    (m1, s1), (m2, s2) = ((x.mean(0), np.cov(x, rowvar=False)) for x in (real, fake))

    def distance(m1: Any, s1: Any, m2: Any, s2: Any, eigenvalues: Any) -> float:
        return float((m1 - m2) @ (m1 - m2) + np.trace(s1 + s2) - 2 * np.sqrt(eigenvalues.astype(complex)).real.sum())

    values, vectors = np.linalg.eigh(s1)
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    listed = distance(m1, s1, m2, s2, np.linalg.eigvals(s1 @ s2))
    error = abs(listed - distance(m1, s1, m2, s2, np.linalg.eigvalsh(root @ s2 @ root)))
    return {"error": error, "itself": abs(distance(m1, s1, m1, s1, np.linalg.eigvals(s1 @ s1)))}


def listed_attention(channels: int) -> Any:
    """The review's self-attention as listed: ``query``, ``key``, ``value``, ``gamma`` and its forward pass."""
    import torch
    from torch import nn

    class SelfAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            # The listing divides by 8, which leaves nothing of a narrow network's channels: at least one here.
            self.query = nn.Conv2d(channels, max(channels // 8, 1), 1)
            self.key = nn.Conv2d(channels, max(channels // 8, 1), 1)
            self.value = nn.Conv2d(channels, channels, 1)
            self.gamma = nn.Parameter(torch.zeros(1))

        def forward(self, x: Any) -> Any:
            n, c, h, w = x.size()
            query = self.query(x).view(n, -1, h * w).permute(0, 2, 1)
            key = self.key(x).view(n, -1, h * w)
            attention = torch.softmax(torch.bmm(query, key), dim=-1)
            out = torch.bmm(self.value(x).view(n, -1, h * w), attention.permute(0, 2, 1))
            return self.gamma * out.view(n, c, h, w) + x

    return SelfAttention()


@measure("max(torch, keras) <= AGREE and listed == own")
def attention_formula(twins: Twins, channels: int, gamma: float) -> Figures:
    """Relative errors of both implementations by the listed self-attention's values; parameters; a ``fresh`` layer."""
    import torch

    from tf_impl.attention import SelfAttention as KerasAttention
    from torch_impl.attention import SelfAttention

    listed, own = listed_attention(channels).double(), SelfAttention(channels).double()
    x, start = twins.batch(2, channels, 5, 6), float(own.gamma)
    fresh = relative_error(own(x), x)
    state = {name: twins.batch(*v.shape, place=place) for place, (name, v) in enumerate(own.state_dict().items())}
    state["gamma"] = torch.tensor(gamma, dtype=torch.float64)
    own.load_state_dict(state)
    listed.load_state_dict({**state, "gamma": state["gamma"].reshape(1)})
    with keras_float64():
        keras = KerasAttention(channels)
        keras.build((None, 5, 6, channels))
        for variable in keras.weights:
            *_, layer, kind = variable.path.split("/")
            value = state[{"kernel": f"{layer}.weight", "bias": f"{layer}.bias"}.get(kind, kind)].numpy()
            variable.assign(value.transpose(2, 3, 1, 0) if kind == "kernel" else value)
        got = np.asarray(keras(to_numpy(x)))
    numbers = [sum(p.numel() for p in layer.parameters()) for layer in (listed, own)]
    return {"torch": relative_error(own(x), listed(x)), "keras": relative_error(got, to_numpy(listed(x))),
            "listed": numbers[0], "own": numbers[1], "start": start, "fresh": fresh}  # fmt: skip
