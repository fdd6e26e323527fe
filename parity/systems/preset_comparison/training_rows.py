"""The rows that compare how two configurations train: a setting each, in words in both languages."""

from __future__ import annotations

from collections.abc import Callable

from shared_impl.config.schema import Config

Words = tuple[str, str]  # English and Chinese
LOSSES: dict[str, Words] = {
    "wgan-gp": ("Wasserstein, gradient penalty {penalty:g}", "Wasserstein，梯度惩罚 {penalty:g}"),
    "wgan": ("Wasserstein, weights clipped to ±{clip:g}", "Wasserstein，权重截断到 ±{clip:g}"),
    "lsgan": ("least squares", "最小二乘"),
    "dcgan": ("binary cross-entropy of logits", "logit 的二元交叉熵"),
    "bce": ("binary cross-entropy of probabilities", "概率的二元交叉熵"),
    "hinge": ("hinge", "hinge"),
}
OPTIMIZERS = {
    "adam": "Adam, β1 {beta1:g}, β2 {beta2:g}, ε {epsilon:g} ({epsilon_place})",
    "rmsprop": "RMSProp, decay {decay:g}, ε {epsilon:g}",
}
INITIAL: dict[str, Words] = {
    "normal": ("N(0, 0.02)", "N(0, 0.02)"),
    "glorot": ("Glorot uniform", "Glorot 均匀分布"),
    "framework": ("torch's default, U(±1/√fan_in)", "torch 默认，U(±1/√fan_in)"),
}
LATENTS: dict[str, str] = {"normal": "N(0, 1)", "uniform": "U(−1, 1)"}
NONE: Words = ("none", "无")
TARGETED = ("lsgan", "dcgan", "bce")  # losses of a real and a fake half, with targets that can be smoothed


def _same(words: str) -> Words:
    return words, words


def _loss(cfg: Config) -> Words:
    english, chinese = LOSSES[cfg.loss.kind]
    settings = {"penalty": cfg.loss.penalty_weight, "clip": cfg.loss.clip}
    return english.format(**settings), chinese.format(**settings)


def _targets(cfg: Config) -> Words:
    if cfg.loss.kind not in TARGETED:
        return NONE
    fake = cfg.loss.label_smoothing if cfg.loss.smooth_fakes else 0
    real = 1 - cfg.loss.label_smoothing
    return f"real {real:g}, fake {fake:g}", f"真实 {real:g}，伪造 {fake:g}"


def _half_weight(cfg: Config) -> Words:
    return _same(f"{cfg.loss.d_scale:g}") if cfg.loss.kind in TARGETED else NONE


def _optimizer(cfg: Config) -> Words:
    return _same(OPTIMIZERS[cfg.optimizer.kind].format(**dict(cfg.optimizer)))


def _rates(cfg: Config) -> Words:
    own = {"G": cfg.optimizer.lr_g, "D": cfg.optimizer.lr_d}
    return _same(", ".join(f"{name} {cfg.optimizer.lr if rate is None else rate:g}" for name, rate in own.items()))


def _schedule(cfg: Config) -> Words:
    kind = cfg.optimizer.schedule
    return _same(kind if kind == "fixed" else f"{kind} → {cfg.optimizer.final_lr:g}")


def _length(cfg: Config) -> Words:
    if cfg.training.steps is not None:
        return f"{cfg.training.steps:,} steps", f"{cfg.training.steps:,} 步"
    return f"{cfg.training.epochs} epochs", f"{cfg.training.epochs} 个 epoch"


def _batch(cfg: Config) -> Words:
    size, portions = cfg.training.batch_size, cfg.training.accumulation
    return _same(f"{size}") if portions == 1 else (f"{size} in {portions} portions", f"{size}，分 {portions} 份")


def _updates(cfg: Config) -> Words:
    fakes = ("the same fakes", "同一批伪造图像") if cfg.training.reuse_fakes else ("fresh fakes", "新的伪造图像")
    updates = cfg.training.d_updates
    return f"{updates} of D to one of G, on {fakes[0]}", f"D {updates} 次对 G 1 次，使用{fakes[1]}"


def _average(cfg: Config) -> Words:
    return NONE if cfg.training.ema is None else _same(f"{cfg.training.ema:g}")


def _terms(cfg: Config) -> Words:
    """The terms that are added to the adversarial loss."""
    terms = [f"auxiliary {cfg.loss.auxiliary_weight:g}"] * cfg.model.auxiliary
    terms += [f"perceptual {cfg.loss.perceptual_weight:g}"] * bool(cfg.loss.perceptual_weight)
    terms += [f"texture {cfg.loss.texture_weight:g}"] * bool(cfg.loss.texture_weight)
    return _same(", ".join(terms)) if terms else NONE


def _clipping(cfg: Config) -> Words:
    return NONE if cfg.optimizer.clip_norm is None else _same(f"{cfg.optimizer.clip_norm:g}")


def _noise(cfg: Config) -> Words:
    return _same(f"{cfg.training.instance_noise:g}") if cfg.training.instance_noise else NONE


def _balance(cfg: Config) -> Words:
    return ("each class as often", "各类别等频") if cfg.data.balance else NONE


def _growth(cfg: Config) -> Words:
    sizes, steps = " → ".join(map(str, cfg.model.stages)), cfg.training.stage_steps
    return (f"{sizes}, {steps:,} steps each", f"{sizes}，每级 {steps:,} 步") if cfg.model.stages else NONE


def _augmentation(cfg: Config) -> Words:
    changes = [f"flip {cfg.data.flip}"] * (cfg.data.flip != "none")
    changes += [f"rotate ±{cfg.data.rotate:g}°"] * bool(cfg.data.rotate)
    changes += [f"jitter {cfg.data.jitter:g}"] * bool(cfg.data.jitter)
    return _same(", ".join(changes)) if changes else NONE


ROWS: tuple[tuple[Words, Callable[[Config], Words]], ...] = (
    (("Loss", "损失"), _loss),
    (("Targets of D", "D 的目标"), _targets),
    (("Weight of each half of D's loss", "D 损失各半的权重"), _half_weight),
    (("Further terms", "其他损失项"), _terms),
    (("Optimiser", "优化器"), _optimizer),
    (("Gradient norm at most", "梯度范数上限"), _clipping),
    (("Learning rates", "学习率"), _rates),
    (("Schedule", "学习率调度"), _schedule),
    (("Initialisation", "初始化"), lambda cfg: INITIAL[cfg.model.init]),
    (("Latents", "隐向量"), lambda cfg: _same(f"{cfg.model.nz}, {LATENTS[cfg.training.latents]}")),
    (("Batch", "批次"), _batch),
    (("Length", "时长"), _length),
    (("Growing through", "渐进增长"), _growth),
    (("Updates", "更新"), _updates),
    (("Moving average of G", "G 的滑动平均"), _average),
    (("Data", "数据"), lambda cfg: _same(cfg.data.source)),
    (("Balance of classes", "类别平衡"), _balance),
    (("Augmentation", "数据增强"), _augmentation),
    (("Instance noise", "实例噪声"), _noise),
    (("Precision", "精度"), lambda cfg: _same(cfg.training.precision)),
)
