"""What the DCGAN experiments log says of training, measured on upsample_dcgan's configuration, losses and trainers."""

from __future__ import annotations

import math

import numpy as np

from parity.report.formats import error
from parity.systems.claims.measured import Measured, truth, unless
from parity.systems.claims.stock import batch
from parity.systems.claims.twins import AGREE, Twins
from shared_impl.config.presets import load
from shared_impl.config.schema import Config
from shared_impl.config.training import total_steps
from shared_impl.storage.experiments import COLUMNS
from shared_impl.training.schedules import learning_rates

FACES = 24_000
DEVICES = 8
# The log's table; ours names the framework beside these.
LOGGED = ("Exp #", "date", "config", "batch", "lr G/D", "latent dim", "epochs", "final G loss", "final D loss", "FID",
          "time", "hardware", "samples", "notes")  # fmt: skip


def log_run(*overrides: str) -> Config:
    """The configuration of the log's run on faces."""
    return load("upsample_dcgan_anime", overrides)


def portions(twins: Twins) -> Measured:
    """A batch over eight devices, and the steps of the run."""
    cfg = log_run()
    steps = total_steps(cfg.training, FACES)
    each, left = divmod(cfg.training.batch_size, DEVICES)
    return Measured(
        truth(left == 0 and steps == 3000),
        f"{each} images a device; {cfg.training.epochs} epochs of {FACES:,} images are {steps:,} steps; here a batch is"
        " what all devices get together, on any number of them",
        f"每设备 {each} 幅图像；{cfg.training.epochs} 个 epoch × {FACES:,} 幅共 {steps:,} 步；此处批次为所有设备之和，"
        "与设备数无关",
    )


def adam(twins: Twins) -> Measured:
    """The resolved optimiser, and a run of it beside torch's own."""
    import torch

    from torch_impl.optimizers import Adam

    cfg = log_run().optimizer
    ours, stock = (torch.nn.Parameter(batch(twins, 50)) for _ in range(2))
    optimizer = Adam(cfg, {"p": ours})
    theirs = torch.optim.Adam([stock], lr=cfg.lr, betas=(cfg.beta1, cfg.beta2))
    for place in range(1, 11):
        gradient = batch(twins, 50, place=place)
        optimizer.apply([gradient.clone()], cfg.lr)
        stock.grad = gradient
        theirs.step()
    apart = float((ours - stock).abs().max().detach())
    holds = (cfg.kind, cfg.beta1, cfg.beta2) == ("adam", 0.5, 0.999) and apart <= AGREE
    words = f"{cfg.kind}, β1 = {cfg.beta1}, β2 = {cfg.beta2}"
    return Measured(
        truth(holds),
        f"{words}; ten updates are off from torch.optim.Adam's by {error(apart)}",
        f"{words}；十次更新与 torch.optim.Adam 相差 {error(apart)}",
    )


def smoothing(twins: Twins) -> Measured:
    """The discriminator's loss on two probabilities, against cross-entropy with the log's targets."""
    cfg = log_run().loss
    real, fake = 0.3, 0.4
    expected = _entropy(real, 0.9) + _entropy(fake, 0.1)
    got = [value / cfg.d_scale for value in _both_d_losses(cfg, real, fake)]
    apart = max(abs(value - expected) for value in got)
    return Measured(
        truth(apart <= AGREE),
        f"for D(real) = {real}, D(fake) = {fake} both implementations' loss is cross-entropy with targets 0.9 and 0.1,"
        f" {expected:.4f}, within {error(apart)}, times {cfg.d_scale}",
        f"D(real) = {real}、D(fake) = {fake} 时两边的损失等于目标 0.9 与 0.1 的交叉熵 {expected:.4f}，相差"
        f" {error(apart)}，"
        f"再乘以 {cfg.d_scale}",
    )


def fixed_rates(twins: Twins) -> Measured:
    """Learning rates of a fixed schedule."""
    cfg = log_run("optimizer.schedule=fixed").optimizer
    rates = {rate for step in (0, 1499, 2999) for rate in learning_rates(cfg, step, 3000)}
    words = ", ".join(map(error, sorted(rates)))
    return Measured(truth(rates == {2e-4}), f"first, middle and last step: {words}", f"首步、中间与末步：{words}")


def cosine_rates(twins: Twins) -> Measured:
    """Learning rates of the cosine schedule, and torch's own scheduler over the same steps and beyond."""
    import torch

    cfg = log_run().optimizer
    rates = [learning_rates(cfg, step, 3000)[1] for step in range(3301)]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=cfg.lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3000, eta_min=cfg.final_lr)
    stock = []
    for _ in rates:
        stock.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    apart = float(np.abs(np.subtract(rates, stock)[:3001]).max())
    holds = (cfg.schedule, rates[0]) == ("cosine", 2e-4) and abs(rates[3000] - 1e-5) < 1e-15
    ends = f"{error(rates[0])} → {error(rates[1500])} → {error(rates[3000])}"
    return Measured(
        truth(holds),
        f"{ends} at steps 0, 1500 and 3000; off from CosineAnnealingLR by {error(apart)}; ten epochs on, torch's has"
        f" risen to {error(stock[-1])}, ours stays at {error(rates[-1])}",
        f"第 0、1500、3000 步：{ends}；与 CosineAnnealingLR 相差 {error(apart)}；再过十个 epoch，torch 的回升到"
        f" {error(stock[-1])}，我们的保持 {error(rates[-1])}",
    )


def entropy(twins: Twins) -> Measured:
    """Cross-entropy of probabilities against that of logits."""
    import torch
    from torch.nn import functional as F

    cfg = log_run().loss
    logits = batch(twins, 1000)
    ones = torch.ones_like(logits)
    apart = float(
        (F.binary_cross_entropy(logits.sigmoid(), ones) - F.binary_cross_entropy_with_logits(logits, ones)).abs()
    )
    return Measured(
        truth(cfg.kind == "bce" and load("dcgan").loss.kind == "dcgan" and apart <= AGREE),
        f"loss.kind is {cfg.kind} on probabilities, dcgan's is the same of logits: they differ by {error(apart)}",
        f"loss.kind 为 {cfg.kind}（作用于概率），dcgan 为同一损失的 logit 形式：相差 {error(apart)}",
    )


def clamps(twins: Twins) -> Measured:
    """What probabilities of 0 and 1e-9 cost that should be one, in torch, in Keras and here."""
    import keras
    import torch

    from tf_impl import losses as tf_losses
    from torch_impl import losses as torch_losses

    cfg = log_run().loss
    told, stock, own = [], [], []
    for p in (0.0, 1e-9):
        tensor = torch.tensor([p], dtype=torch.float64)
        stock.append(float(torch.nn.functional.binary_cross_entropy(tensor, torch.ones_like(tensor))))
        values = np.array([p])
        keras_one = float(keras.losses.binary_crossentropy(np.ones(1), keras.ops.convert_to_tensor(values)))
        own.append(
            [float(torch_losses.g_loss(cfg, tensor)), float(tf_losses.g_loss(cfg, keras.ops.convert_to_tensor(values)))]
        )
        told.append((f"{p:g}", f"{stock[-1]:.4g}", f"{keras_one:.4g}", f"{own[-1][0]:.4g}"))
    equal = max(abs(a - b) for a, b in own)
    apart = max(abs(a - b[0]) for a, b in zip(stock, own, strict=True))
    english = "; ".join(f"p = {p}: torch {a}, Keras {b}, both implementations {c}" for p, a, b, c in told)
    chinese = "；".join(f"p = {p}：torch {a}，Keras {b}，两边的实现 {c}" for p, a, b, c in told)
    return Measured(
        "false" if equal > AGREE else unless(apart > AGREE, "conditional"),
        f"one loss away from the ends; there torch clamps the logarithm at −100, Keras p at 1e-7. {english} (one"
        " formula,"
        f" equal to {error(equal)})",
        f"端点之外是同一损失；端点处 torch 把对数截断在 −100，Keras 把 p 截断在 1e-7。{chinese}（同一公式，相差"
        f" {error(equal)}）",
    )


def initial(twins: Twins) -> Measured:
    """Spread of fresh kernels under torch's default and under the paper's distribution."""
    import torch

    from torch_impl import UpsampleDCGANGenerator

    told = {}
    for kind in ("framework", "normal"):
        with torch.random.fork_rng():
            torch.manual_seed(twins.seed)
            network = UpsampleDCGANGenerator(init=kind)
        spreads = [
            float(p.detach().std()) for name, p in network.named_parameters() if name.endswith("weight") and p.ndim > 1
        ]
        told[kind] = f"{min(spreads):.4f} … {max(spreads):.4f}"
    holds = load("upsample_dcgan").model.init == "framework" and load("dcgan").model.init == "normal"
    return Measured(
        truth(holds and told["framework"] != told["normal"]),
        f"kernels spread by {told['framework']} by torch's default, the preset's; by {told['normal']} with N(0, 0.02)",
        f"卷积核标准差：torch 默认（本预设）{told['framework']}；N(0, 0.02) 为 {told['normal']}",
    )


def input_range(twins: Twins) -> Measured:
    """What the trainers make of black and white pixels."""
    from torch_impl.trainer import Trainer

    trainer = Trainer(load("upsample_dcgan_tiny", ["model.ngf=2", "model.ndf=2"]), steps=1)
    pixels = np.zeros((1, 64, 64, trainer.config.model.nc), np.uint8)
    pixels[:, 32:] = 255
    got = sorted(set(trainer.prepare(pixels).flatten().tolist()))
    return Measured(truth(got == [-1.0, 1.0]), f"0 and 255 become {got}", f"0 与 255 变为 {got}")


def baseline(twins: Twins) -> Measured:
    """The first experiment of the log as a configuration."""
    cfg = load("upsample_dcgan_celebrities")
    rates = learning_rates(cfg.optimizer, 0, 1)
    got = (cfg.training.batch_size, cfg.training.epochs, cfg.model.nz, *rates, cfg.optimizer.beta1, cfg.optimizer.beta2)
    words = f"{got[0]}, {got[1]}, {got[2]}, {got[3]}/{got[4]}, {got[5]}/{got[6]}"
    return Measured(
        truth(got == (128, 200, 100, 2e-4, 2e-4, 0.5, 0.999)),
        f"preset upsample_dcgan_celebrities: batch, epochs, latents, rates, betas: {words}",
        f"预设 upsample_dcgan_celebrities：批次、epoch、隐向量维度、学习率、β：{words}",
    )


def table(twins: Twins) -> Measured:
    """The columns that our own log of runs has of the document's."""
    lacking = [column for column in LOGGED if column not in COLUMNS]
    return Measured(
        truth(not lacking),
        f"experiments.md has {len(LOGGED) - len(lacking)} of its {len(LOGGED)} columns and fills them in by itself",
        f"experiments.md 具有其 {len(LOGGED)} 列中的 {len(LOGGED) - len(lacking)} 列，并自动填写",
    )


def _entropy(p: float, target: float) -> float:
    return -(target * math.log(p) + (1 - target) * math.log(1 - p))


def _both_d_losses(cfg: object, real: float, fake: float) -> list[float]:
    import tensorflow as tf
    import torch

    from tf_impl import losses as tf_losses
    from torch_impl import losses as torch_losses

    tensors = [torch.tensor([p], dtype=torch.float64) for p in (real, fake)]
    values = [tf.constant([p], tf.float64) for p in (real, fake)]
    return [float(torch_losses.d_loss(cfg, *tensors)), float(tf_losses.d_loss(cfg, *values))]  # type: ignore[arg-type]
