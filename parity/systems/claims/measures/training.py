"""How weights begin and what an update does: optimisers, passes, moving averages, spectral normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.systems.chains import Array, Twins, drawn, relative_error
from parity.systems.claims.measures.chains import stock_layers
from parity.systems.claims.measures.conditional import network
from parity.systems.claims.measures.registry import Figures, measure
from parity.systems.claims.measures.settings import configuration


@measure("max(abs(low / 0.02 - 1), abs(high / 0.02 - 1)) < 0.05")
def initial_spreads(twins: Twins, networks: list[str], presets: Any = (), least: int = 0) -> Figures:
    """Smallest and largest deviation of freshly drawn kernels of more than ``least`` numbers, by network.

    A network is ``keras`` or ``torch`` and a chain with options, a preset of a conditional DCGAN, or stock layers.
    ``inits`` are the presets' own choices.
    """
    kernels = [[k for k in _kernels(twins, name) if k.size > least] for name in networks]
    found = [[min(spreads), max(spreads)] for spreads in ([float(np.std(k)) for k in own] for own in kernels)]
    inits = [configuration(name).model.init for name in presets]
    return {"spreads": found, "low": found[0][0], "high": found[0][1], "inits": inits}


def _kernels(twins: Twins, name: str) -> list[Array]:
    import keras
    import torch

    import tf_impl
    import torch_impl

    side, _, chain = name.partition(" ")
    if side == "keras":
        keras.utils.set_random_seed(twins.seed)
        return [np.asarray(layer.kernel) for layer in twins[chain].built(tf_impl).layers if hasattr(layer, "kernel")]
    if side == "torch":
        module = drawn(lambda: twins[chain].built(torch_impl), twins.seed)
    elif side.endswith("dcgan"):
        module = network("generator", name)
    else:
        module = drawn(lambda: torch.nn.Sequential(*stock_layers(name)), twins.seed)
    return [p.detach().numpy() for n, p in module.named_parameters() if p.ndim > 1 and n.endswith("weight")]


@measure("[kind, beta1, beta2] == expected and error <= AGREE")
def adam_updates(twins: Twins, preset: str, expected: list[Any]) -> Figures:
    """A preset's optimiser, and ten of its updates beside torch's own Adam."""
    import torch

    from torch_impl.optimizers import Adam

    cfg = configuration(preset).optimizer
    own, stock = (torch.nn.Parameter(twins.batch(50)) for _ in range(2))
    optimizer = Adam(cfg, {"p": own})
    beside = torch.optim.Adam([stock], lr=cfg.lr, betas=(cfg.beta1, cfg.beta2))
    for place in range(1, 11):
        stock.grad = twins.batch(50, place=place)
        optimizer.apply([stock.grad.clone()], cfg.lr)
        beside.step()
    error = float((own - stock).abs().max().detach())
    return {"kind": cfg.kind, "beta1": cfg.beta1, "beta2": cfg.beta2, "error": error}


@measure("moved == tensors")
def moved_by_a_step(twins: Twins, preset: str) -> Figures:
    """How many parameters of D and of G one training step ``moved``, and how many there are."""
    from torch_impl.trainer import Trainer

    cfg = configuration(preset)
    trainer, size = Trainer(cfg, steps=3), (4, cfg.model.side, cfg.model.side, cfg.model.nc)
    images = np.random.RandomState(0).randint(0, 256, size).astype(np.uint8)
    networks = [list(module.parameters()) for module in (trainer.discriminator, trainer.generator)]
    before = [[p.detach().clone() for p in own] for own in networks]
    trainer.step(0, iter([{"x": images, "label": np.zeros(4, np.int64)}]))
    pairs = [zip(own, old, strict=True) for own, old in zip(networks, before, strict=True)]
    moved = [sum(bool((p != old).any()) for p, old in own) for own in pairs]
    return {"moved": moved, "tensors": [len(own) for own in networks]}


@measure("error <= 1e-6")  # float32, three sums: a few times 2^-24
def moving_average(twins: Twins, preset: str, decay: float) -> Figures:
    """Our average of G after three steps by decay·shadow + (1 − decay)·parameter, and G's running statistics."""
    import torch

    from torch_impl.networks import update_average

    generator, average = (network("generator", preset) for _ in range(2))
    shadow = {name: p.data.clone() for name, p in generator.named_parameters()}
    for place in range(3):
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter.add_(twins.batch(*parameter.shape, place=place).float())
            generator.train()(twins.batch(4, 8, place=place).float(), torch.zeros(4, dtype=torch.long))
            update_average(average, generator, decay)
        shadow = {name: decay * shadow[name] + (1 - decay) * p.data for name, p in generator.named_parameters()}
    return {
        "error": max(relative_error(p, shadow[name]) for name, p in average.named_parameters()),
        "statistics": sum("running_" in name for name, _ in generator.named_buffers()),
        "copied": all(bool((a == b).all()) for a, b in zip(average.buffers(), generator.buffers(), strict=True)),
    }


@measure("own <= 1e-6")
def stock_spectral_norm(twins: Twins) -> Figures:
    """Keras's stock wrapper and our layer: errors of the kernel's gradient by torch's, and how far a call moves it."""
    import tensorflow as tf
    from keras.layers import Dense, SpectralNormalization

    import tf_impl.spectral_norm
    import torch_impl.spectral_norm

    x, kernel = twins.batch(5, 6), twins.batch(6, 8, place=1)
    expected: Any = torch_impl.spectral_norm.SpectralDense(6, 8, bias=False).double()
    expected.parametrizations.weight.original.data = kernel.mT.clone()
    for _ in range(50):  # all three have found the largest singular value then
        expected.train()(x)
    expected(x).square().sum().backward()
    stock, own = Dense(8, dtype="float64"), tf_impl.spectral_norm.SpectralDense(8, dtype="float64")
    found: Figures = {}
    for name, layer, inner in (("stock", SpectralNormalization(stock, dtype="float64"), stock), ("own", own, own)):
        layer.build((None, 6))
        for _ in range(50):
            inner.kernel.assign(kernel)
            layer(x.numpy(), training=True)
        inner.kernel.assign(kernel)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(layer(x.numpy(), training=True)))
        gradient = tape.gradient(loss, inner.kernel.value)
        found[name] = relative_error(gradient, expected.parametrizations.weight.original.grad.mT)
        found[f"{name}_moves"] = relative_error(inner.kernel, kernel)
    return found
