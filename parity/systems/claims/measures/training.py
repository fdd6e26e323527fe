"""How weights begin and what an update does: optimisers, passes, accumulation, moving averages, spectrograms."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.systems.chains import CLASSES, Twins, relative_error
from parity.systems.claims.measures.conditional import network
from parity.systems.claims.measures.registry import Figures, measure
from parity.systems.claims.measures.settings import configuration
from parity.systems.claims.measures.values import stock_layers


@measure("max(abs(low / 0.02 - 1), abs(high / 0.02 - 1)) < 0.05")
def initial_spreads(twins: Twins, networks: list[str], presets: Any = (), least: int = 0) -> Figures:
    """Smallest and largest deviation of freshly drawn kernels of more than ``least`` numbers, by network.

    A network is ``keras`` or ``torch`` and a class with options, a preset of a conditional DCGAN, or stock layers.
    ``inits`` are the presets' own choices.
    """
    spreads = [[float(np.std(k)) for k in _kernels(name, twins.seed) if k.size > least] for name in networks]
    found = [[min(own), max(own)] for own in spreads]
    inits = [configuration(name).model.init for name in presets]
    return {"spreads": found, "low": found[0][0], "high": found[0][1], "inits": inits}


def _kernels(name: str, seed: int) -> list[np.ndarray]:
    import keras
    import torch

    import tf_impl
    import torch_impl

    side, *words = name.split()
    options: dict[str, Any] = dict(word.split("=") for word in words[2:]) if side in ("keras", "torch") else {}
    if side == "keras":
        keras.utils.set_random_seed(seed)
        model = getattr(tf_impl, CLASSES[words[0]] + words[1].capitalize())(**options)
        return [np.asarray(layer.kernel) for layer in model.layers if hasattr(layer, "kernel")]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if side == "torch":
            module = getattr(torch_impl, CLASSES[words[0]] + words[1].capitalize())(**options)
        elif side.endswith("dcgan"):
            module = network("generator", name)
        else:
            module = torch.nn.Sequential(*stock_layers(name))
    return [p.detach().numpy() for n, p in module.named_parameters() if p.ndim > 1 and n.endswith("weight")]


@measure("all(abs(spread / 0.02 - 1) < 0.1 for spread in spreads)")
def applied_initialiser(twins: Twins, chain: str) -> Figures:
    """Smallest and largest deviation of a port's kernels after ``apply`` of a DCGAN's ``weights_init``."""
    from torch import Generator, Tensor, nn

    generator, port = Generator().manual_seed(twins.seed), twins[chain].port()

    def weights_init(module: Any) -> None:
        if isinstance(getattr(module, "weight", None), Tensor):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)

    port.apply(weights_init)
    kernels = [p.detach() for name, p in port.named_parameters() if name.endswith("weight") and p.numel() > 1000]
    spreads = [float(kernel.std()) for kernel in kernels]
    return {"spreads": [min(spreads), max(spreads)]}


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
        gradient = twins.batch(50, place=place)
        optimizer.apply([gradient.clone()], cfg.lr)
        stock.grad = gradient
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
    networks = trainer.discriminator, trainer.generator
    before = [[p.detach().clone() for p in module.parameters()] for module in networks]
    trainer.step(0, iter([{"x": images, "label": np.zeros(4, np.int64)}]))
    pairs = [zip(module.parameters(), olds, strict=True) for module, olds in zip(networks, before, strict=True)]
    moved = [sum(bool((p != old).any()) for p, old in own) for own in pairs]
    return {"moved": moved, "tensors": [len(olds) for olds in before]}


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


@measure("framing == own and made == [1, 256, 256] and again == framing[2]")
def spectrogram_framing(twins: Twins, preset: str, framing: list[int]) -> Figures:
    """The spectrogram of random sound by frame, hop and samples, the sound made of it again, the preset's framing."""
    from torch_impl.spectrogram import spectrogram, waveform

    frame, hop, samples = framing
    sound = twins.batch(1, samples) / 10
    zero, one = sound.new_zeros(frame // 2 + 1), sound.new_ones(frame // 2 + 1)
    image = spectrogram(sound, zero, one, frame=frame, hop=hop)
    again = waveform(image, zero, one, iterations=0, frame=frame, hop=hop).shape[1]
    own = list(configuration(preset).model.framing)
    return {"samples": samples, "shape": tuple(image.shape), "made": list(image.shape[1:]), "again": again, "own": own}
