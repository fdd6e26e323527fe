"""Seed 004, a review of a conditional DCGAN at 256x256: every claim by its measurement."""

from __future__ import annotations

from parity.systems.claims import seed_001_training
from parity.systems.claims import seed_004_attention as attention
from parity.systems.claims import seed_004_losses as losses
from parity.systems.claims import seed_004_networks as networks
from parity.systems.claims import seed_004_normalisation as normalisation
from parity.systems.claims import seed_004_training as training
from parity.systems.claims.measured import Claim, Document, Words, unmeasured

SECTIONS: dict[str, Words] = {
    "well": {"en": "What is done well", "zh": "做得好的方面"},
    "label": {"en": "Label conditioning", "zh": "标签条件"},
    "depth": {"en": "Generator depth", "zh": "生成器深度"},
    "loss": {"en": "Loss function", "zh": "损失函数"},
    "d": {"en": "Discriminator architecture", "zh": "判别器架构"},
    "missing": {"en": "Missing components", "zh": "缺失的组件"},
    "metrics": {"en": "Evaluation metrics", "zh": "评估指标"},
    "training": {"en": "Training improvements", "zh": "训练改进"},
    "order": {"en": "Priority order", "zh": "优先级"},
    "improved": {"en": "Improved architecture", "zh": "改进的架构"},
    "summary": {"en": "Summary", "zh": "总结"},
}
_TRAINED = unmeasured(
    "a judgement about trained networks; nothing here is trained", "这是关于训练结果的评价；此处没有训练任何网络"
)
CLAIMS = (
    Claim("label.both", "well", "Generator and discriminator each have a label embedding.",
          "生成器与判别器各有标签嵌入。",
          networks.embedded),
    Claim("label.noise", "well improved", "Noise and the label's embedding of 128 are concatenated.",
          "噪声与 128 维标签嵌入拼接。",
          networks.concatenated),
    Claim("label.map", "well", "The discriminator gets the label as one more channel of the image.",
          "判别器把标签作为图像的又一个通道。", networks.injected),
    Claim("sn", "well", "The discriminator's convolutions are spectrally normalised.", "判别器的卷积使用谱归一化。",
          normalisation.bounded),
    Claim("sn.stock", "well d", "Spectral normalisation is the framework's stock layer.", "谱归一化即框架自带的层。",
          normalisation.stock_layer),
    Claim("smoothing", "well", "Labels are smoothed by 0.1.", "标签平滑 0.1。", losses.smoothing),
    Claim("init", "well", "Weights are properly initialised.", "权重初始化得当。", training.initial),
    Claim("schedule", "well", "Learning rates are scheduled.", "学习率有调度。", training.scheduled),
    Claim("balance", "well", "Classes are balanced by oversampling.", "通过过采样平衡类别。", training.balanced),
    Claim("augmentation", "well", "Images are flipped, rotated and jittered in colour.", "图像经翻转、旋转与颜色抖动。",
          training.augmented),
    Claim("range", "well", "Images are properly normalised.", "图像归一化得当。", seed_001_training.input_range),
    Claim("g.layers", "well", "The generator has batch norm and ReLU, and tanh at the end.",
          "生成器有批归一化与 ReLU，末端为 tanh。",
          networks.present("generator", {"ConvTranspose2d": 7, "BatchNorm2d": 6, "ReLU": 6, "Tanh": 1})),
    Claim("d.layers", "well", "The discriminator has LeakyReLU, and batch norm beside spectral norm.",
          "判别器用 LeakyReLU，谱归一化之外还有批归一化。",
          networks.present("discriminator", {"ParametrizedSpectralConv2D": 6, "BatchNorm2d": 5, "LeakyReLU": 6})),
    Claim("label.huge", "label summary",
          "The discriminator's embedding of 256·256 = 65,536 numbers for 6 classes is a massive"
          " parameter space.",
          "判别器为 6 个类别各嵌入 256·256 = 65,536 个数，参数空间巨大。", networks.huge),
    Claim("label.projected", "label order improved",
          "An embedding of 128 and a dense layer to 256·256 make it smaller.",
          "128 维嵌入加到 256·256 的全连接层使其变小。", networks.projected),
    Claim("label.replicated", "label", "An embedding of 128, repeated at every pixel, makes it smaller.",
          "128 维嵌入在每个像素重复，使其变小。", networks.replicated),
    Claim("label.auxiliary", "label", "An auxiliary head may name the class instead (AC-GAN).",
          "也可由辅助分类头给出类别（AC-GAN）。",
          networks.auxiliary),
    Claim("g.depth", "depth", "The generator has 6 transposed convolutions, from 4×4 to 256×256.",
          "生成器有 6 个转置卷积，从 4×4 到 256×256。", networks.depth),
    Claim("attention.formula", "depth",
          "Self-attention is γ · V softmax(QᵀK)ᵀ + x with 1×1 convolutions, C/8 channels in Q and K.",
          "自注意力为 γ · V softmax(QᵀK)ᵀ + x，使用 1×1 卷积，Q 与 K 为 C/8 通道。", attention.formula),
    Claim("attention.gamma", "depth", "Its weight γ starts at zero.", "其权重 γ 从零开始。", attention.begins),
    Claim("attention.first", "improved", "The generator attends to itself at 32×32.", "生成器在 32×32 处使用自注意力。",
          networks.listed(0, 32)),
    Claim("attention.second", "improved", "The generator attends to itself at 128×128.",
          "生成器在 128×128 处使用自注意力。",
          networks.listed(1, 128)),
    Claim("attention.at64", "depth", "Self-attention is to be added at 64×64.", "自注意力应加在 64×64 处。",
          networks.listed(1, 64)),
    Claim("attention.d", "improved", "The discriminator attends to itself at 32×32.", "判别器在 32×32 处使用自注意力。",
          networks.attention_of_d),
    Claim("loss.wgan", "loss", "Wasserstein losses are E D(fake) − E D(real) and −E D(fake).",
          "Wasserstein 损失为 E D(fake) − E D(real) 与 −E D(fake)。", losses.wasserstein),
    Claim("loss.penalty", "loss", "The gradient penalty is the mean of (gradients.norm(2, dim=1) − 1)².",
          "梯度惩罚为 (gradients.norm(2, dim=1) − 1)² 的均值。", losses.penalty),
    Claim("loss.perceptual", "loss",
          "A perceptual loss is the L1 distance of VGG19's features[:36] of fake and real images.",
          "感知损失为伪造与真实图像的 VGG19 features[:36] 之间的 L1 距离。", losses.perceptual),
    Claim("loss.hinge", "loss", "Hinge losses are relu(1 − real) + relu(1 + fake) and −fake, on average.",
          "hinge 损失为 relu(1 − real) + relu(1 + fake) 与 −fake 的均值。", losses.hinge),
    Claim("loss.stable", "loss order", "Cross-entropy is unstable, Wasserstein and hinge losses are more stable.",
          "交叉熵不稳定，Wasserstein 与 hinge 损失更稳定。", _TRAINED),
    Claim("d.conflict", "d order summary", "Batch norm behind spectral norm conflicts with it.",
          "谱归一化之后的批归一化与之冲突。",
          normalisation.conflict),
    Claim("d.instead", "d", "LayerNorm, GroupNorm(1, C), may stand there instead.",
          "可改用 LayerNorm，即 GroupNorm(1, C)。",
          normalisation.layer_norm_instead),
    Claim("d.layernorm", "d", "GroupNorm(1, C) is equivalent to LayerNorm.", "GroupNorm(1, C) 等价于 LayerNorm。",
          normalisation.layer_norm),
    Claim("d.removed", "d improved", "The improved discriminator has spectral norm throughout and no batch norm.",
          "改进的判别器全部使用谱归一化，没有批归一化。", normalisation.removed),
    Claim("texture", "missing", "A texture loss compares Gram matrices over c·h·w.",
          "纹理损失比较除以 c·h·w 的 Gram 矩阵。",
          losses.texture),
    Claim("scales", "missing", "Three discriminators judge three sizes of the image.", "三个判别器评判三种尺寸的图像。",
          normalisation.scales),
    Claim("scales.pool", "missing", "Between them AvgPool2d(3, stride 2, padding 1) halves it, as SAME pooling does.",
          "其间用 AvgPool2d(3，步幅 2，填充 1) 减半，与 SAME 池化相同。", normalisation.downsampled),
    Claim("progressive", "missing order", "Progressive growing helps training and detail.",
          "渐进式增长有助于训练与细节。", _TRAINED),
    Claim("metrics.fid", "metrics", "FID is |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 √(Σ₁Σ₂)).",
          "FID 为 |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 √(Σ₁Σ₂))。",
          training.frechet),
    Claim("ttur", "training", "Two rates: 0.0001 for the generator, 0.0004 for the discriminator, betas 0.0 and 0.9.",
          "两个学习率：生成器 0.0001，判别器 0.0004，β 为 0.0 与 0.9。", training.rates),
    Claim("accumulation", "training", "Gradients of 4 portions accumulated are those of a batch four times as large.",
          "累积 4 份的梯度等于四倍批次的梯度。", training.accumulated),
    Claim("ema", "training order",
          "A moving average of the generator keeps 0.999 of itself: 0.999·shadow + 0.001·parameter.",
          "生成器的滑动平均保留 0.999：0.999·shadow + 0.001·参数。", training.averaged),
    Claim("improved.g", "improved", "The improved generator as listed.", "所"
                                                                         "列"
                                                                         "的"
                                                                         "改"
                                                                         "进生成器。", networks.improved("generator")),
    Claim("improved.d", "improved", "The improved discriminator as listed.", "所"
                                                                             "列"
                                                                             "的"
                                                                             "改"
                                                                             "进"
                                                                             "判"
                                                                             "别"
                                                                             "器"
                                                                             "。", networks.improved("discriminator")),
    Claim("better", "order summary", "These improvements give better detail and publication quality.",
          "这些改进带来更好的细节与发表级质量。", _TRAINED),
)  # fmt: skip
DOCUMENT = Document("004", {"en": "Review of a conditional DCGAN", "zh": "条件 DCGAN 架构评审"}, SECTIONS, CLAIMS)
