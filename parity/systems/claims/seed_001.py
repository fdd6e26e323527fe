"""Seed 001, the experiments log of a DCGAN that upsamples: every claim by its measurement."""

from __future__ import annotations

from parity.systems.claims import seed_001_compared as compared
from parity.systems.claims import seed_001_networks as networks
from parity.systems.claims import seed_001_training as training
from parity.systems.claims.measured import Claim, Document, Words, unmeasured

SECTIONS: dict[str, Words] = {
    "g": {"en": "Generator network", "zh": "生成器网络"},
    "d": {"en": "Discriminator network", "zh": "判别器网络"},
    "training": {"en": "Training configuration", "zh": "训练配置"},
    "vs.g": {"en": "Current vs paper: generator", "zh": "当前与论文对比：生成器"},
    "vs.d": {"en": "Current vs paper: discriminator", "zh": "当前与论文对比：判别器"},
    "vs.t": {"en": "Current vs paper: training", "zh": "当前与论文对比：训练"},
    "summary": {"en": "Summary of differences", "zh": "差异总结"},
    "log": {"en": "Results and notes", "zh": "结果与记录"},
}
_UP = [(512, 256, 8), (256, 128, 16), (128, 64, 32)]
_DOWN = [(3, 64, 32), (64, 128, 16), (128, 256, 8), (256, 512, 4)]


def _up(index: int, inputs: int, outputs: int, side: int) -> Claim:
    return Claim(
        f"g.block{index + 1}",
        "g",
        f"Block {index + 1} upsamples to {side}×{side}, convolves {inputs} → {outputs} (3×3, padding 1), then batch"
        " norm with"
        " momentum 0.8 and LeakyReLU 0.2.",
        f"第 {index + 1} 块：上采样到 {side}×{side}，卷积 {inputs} → {outputs}（3×3，填充 1），再接 momentum 0.8"
        " 的批归一化与"
        " LeakyReLU 0.2。",
        networks.as_written(
            "generator",
            f"upconv_{index}",
            (outputs, side, side),
            lambda nn: [
                nn.Upsample(scale_factor=2),
                nn.Conv2d(inputs, outputs, 3, padding=1),
                nn.BatchNorm2d(outputs, momentum=0.8),
                nn.LeakyReLU(0.2),
            ],
        ),
    )


def _down(index: int, inputs: int, outputs: int, side: int) -> Claim:
    norm_en, norm_zh = (" batch norm with momentum 0.8,", "momentum 0.8 的批归一化、") if index else ("", "")
    return Claim(
        f"d.block{index + 1}",
        "d",
        f"Block {index + 1} convolves {inputs} → {outputs} (3×3, stride 2, padding 1) to {side}×{side}, then{norm_en}"
        " LeakyReLU 0.2 and Dropout2d 0.25.",
        f"第 {index + 1} 块：卷积 {inputs} → {outputs}（3×3，步幅 2，填充 1）到 {side}×{side}，再接{norm_zh}LeakyReLU"
        " 0.2 与"
        " Dropout2d 0.25。",
        networks.as_written(
            "discriminator",
            f"downconv_{index}",
            (outputs, side, side),
            lambda nn: [
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
                *([nn.BatchNorm2d(outputs, momentum=0.8)] if index else []),
                nn.LeakyReLU(0.2),
                nn.Dropout2d(0.25),
            ],
        ),
    )


CLAIMS = (
    Claim("g.ends", "g", "100 random numbers become an image of 3×64×64.", "100 个随机数生成 3×64×64 的图像。",
          networks.ends("generator", (100,), (3, 64, 64))),
    Claim("g.project", "g", "A dense layer 100 → 512·4·4 is reshaped to (512, 4, 4).",
          "全连接层 100 → 512·4·4，重塑为 (512, 4, 4)。",
          networks.as_written("generator", "z_project", (512, 4, 4),
                              lambda nn: [nn.Linear(100, 512 * 4 * 4), nn.Unflatten(1, (512, 4, 4))])),
    *(_up(index, *sizes) for index, sizes in enumerate(_UP)),
    Claim("g.block4", "g", "Block 4 upsamples to 64×64, convolves 64 → 3 and ends in tanh.",
          "第 4 块：上采样到 64×64，卷积 64 → 3，以 tanh 结束。",
          networks.as_written("generator", "upconv_3", (3, 64, 64), lambda nn: [
              nn.Upsample(scale_factor=2), nn.Conv2d(64, 3, 3, padding=1), nn.Tanh()])),
    Claim("d.ends", "d", "An image of 3×64×64 becomes one probability.", "3×64×64 的图像得到一个概率。",
          networks.ends("discriminator", (3, 64, 64), ())),
    *(_down(index, *sizes) for index, sizes in enumerate(_DOWN)),
    Claim("d.padding", "d", "Kernel 3, stride 2, padding 1 halves the image as SAME does.",
          "卷积核 3、步幅 2、填充 1 与 SAME 一样把图像减半。", networks.strided),
    Claim("d.flatten", "d", "Flattening gives 512·4·4 = 8192 features.", "展平得到 512·4·4 = 8192 个特征。",
          networks.flattened),
    Claim("d.dropout", "d vs.d", "Dropout2d(0.25) stands behind each block, the paper has none.",
          "每块之后有 Dropout2d(0.25)，论文没有。", networks.dropped),
    Claim("d.probability", "d summary", "A dense layer 8192 → 1 and a sigmoid give a probability.",
          "全连接层 8192 → 1 与 sigmoid 给出概率。", networks.probability),
    Claim("t.data", "training", "24,000 anime faces of 64×64 are learned from.", "从 24,000 幅 64×64 动漫头像学习。",
          unmeasured("the images are not part of this project", "这些图像不属于本项目")),
    Claim("t.batch", "training", "A batch of 800 is split over 8 GPUs, for 100 epochs.",
          "批次 800 分到 8 个 GPU，100 个 epoch。",
          training.portions),
    Claim("t.adam", "training vs.t", "The optimiser is Adam with β1 = 0.5, β2 = 0.999.",
          "优化器为 Adam，β1 = 0.5，β2 = 0.999。", training.adam),
    Claim("t.smoothing", "training", "Labels are smoothed: real 0.9, fake 0.1.", "标签平滑：真实 0.9，伪造 0.1。",
          training.smoothing),
    Claim("t.fixed", "training", "The fixed rate is 0.0002 for both networks.", "固定学习率：两个网络均为 0.0002。",
          training.fixed_rates),
    Claim("t.cosine", "training", "The rate anneals by a cosine from 0.0002 to 0.00001 over 100 epochs.",
          "学习率在 100 个 epoch 中按余弦从 0.0002 降到 0.00001。", training.cosine_rates),
    Claim("t.hardware", "training", "It runs on 8 NVIDIA GPUs with DDP.", "在 8 个 NVIDIA GPU 上用 DDP 运行。",
          unmeasured("this report is made without GPUs", "本报告的生成不使用 GPU")),
    Claim("vs.g.initial", "vs.g", "The generator begins with a dense layer instead of a transposed convolution 4×4.",
          "生成器以全连接层开始，而非 4×4 转置卷积。", compared.initial_layer),
    Claim("vs.g.upsampling", "vs.g summary",
          "It upsamples bilinearly and convolves: Upsample(scale_factor=2) + Conv2d.",
          "以双线性上采样加卷积放大：Upsample(scale_factor=2) + Conv2d。", compared.resize_mode),
    Claim("vs.g.activation", "vs.g summary", "Hidden layers: ReLU in the paper, LeakyReLU 0.2 here.",
          "隐藏层：论文为 ReLU，此处为 LeakyReLU 0.2。", compared.slopes),
    Claim("vs.g.last", "vs.g", "Both generators end in tanh.", "两个生成器都以 tanh 结束。", compared.last_activations),
    Claim("vs.g.norm", "vs.g", "All layers of the generator have batch norm.", "生成器的所有层都有批归一化。",
          compared.normalised("generator", ())),
    Claim("vs.momentum", "vs.g vs.d", "The batch norm's momentum is 0.8 where the default is 0.9.",
          "批归一化的 momentum 为 0.8，默认为 0.9。", compared.momentum),
    Claim("vs.g.kernel", "vs.g summary", "The generator's kernels are 3×3 where the paper's are 4×4.",
          "生成器卷积核为 3×3，论文为 4×4。", compared.kernel_sizes("generator")),
    Claim("vs.g.flow", "vs.g",
          "A projection and four transposed convolutions, against a dense layer and four upsampling blocks.",
          "一层投影加四个转置卷积，对比全连接层加四个上采样块。",
          compared.flow("generator", {"dcgan": ["Conv2DTranspose"] * 5, "upsample_dcgan": ["Dense"] + ["Conv2D"] * 4})),
    Claim("vs.d.norm", "vs.d", "All the discriminator's blocks but the first have batch norm, in both.",
          "两者的判别器除第一块外都有批归一化。", compared.normalised("discriminator", ("downconv_0", "output"))),
    Claim("vs.d.last", "vs.d summary",
          "The paper's discriminator ends in a dense layer, this one in a dense layer and a sigmoid.",
          "论文的判别器以全连接层结束，此处为全连接层加 sigmoid。", compared.final_layer),
    Claim("vs.d.kernel", "vs.d summary", "The discriminator's kernels are 3×3 where the paper's are 4×4.",
          "判别器卷积核为 3×3，论文为 4×4。", compared.kernel_sizes("discriminator")),
    Claim("vs.d.flow", "vs.d", "Four convolutions of stride 2, then a last layer, in both.",
          "两者都是四个步幅 2 的卷积，再接最后一层。",
          compared.flow("discriminator", {"dcgan": ["Conv2D"] * 5, "upsample_dcgan": ["Conv2D"] * 4 + ["Dense"]})),
    Claim("vs.t.loss", "vs.t", "The loss is binary cross-entropy in both.",
          "两者的损失都是二元交叉熵。", training.entropy),
    Claim("vs.t.clamp", "vs.t training", "Binary cross-entropy of probabilities is one loss, whatever the framework.",
          "概率的二元交叉熵在任何框架中都是同一损失。", training.clamps),
    Claim("vs.t.init", "vs.t", "Weights are drawn by PyTorch's default, not from N(0, 0.02) as in the paper.",
          "权重按 PyTorch 默认方式初始化，而非论文的 N(0, 0.02)。", training.initial),
    Claim("vs.t.range", "vs.t", "Inputs lie in [−1, 1] as tanh's outputs do.",
          "输入与 tanh 的输出一样在 [−1, 1] 之内。",
          training.input_range),
    Claim("s.checkerboard", "summary", "Upsampling and convolving leaves fewer checkerboard artifacts.",
          "上采样加卷积的棋盘伪影更少。", compared.checkerboard),
    Claim("s.gradient", "summary", "LeakyReLU helps the gradient to flow.", "LeakyReLU 有助于梯度流动。",
          compared.gradient_flow),
    Claim("s.field", "summary", "Smaller kernels have another receptive field.", "更小的卷积核感受野不同。",
          networks.receptive_fields),
    Claim("s.dropout", "summary", "Dropout in the discriminator prevents overfitting.",
          "判别器中的 dropout 防止过拟合。",
          unmeasured("a matter of long training on the original's data", "需在原数据上长时间训练才能判断")),
    Claim("s.momentum", "summary", "Momentum 0.8 adapts the statistics faster during training.",
          "momentum 0.8 使统计量在训练中更快适应。", compared.adaptation),
    Claim("l.channels", "log", "Generator channels 512, 256, 128, 64; discriminator channels 64, 128, 256, 512.",
          "生成器通道 512、256、128、64；判别器通道 64、128、256、512。", networks.widths),
    Claim("l.baseline", "log", "Experiment 1: batch 128, rates 0.0002/0.0002, 100 latents, 200 epochs, Adam 0.5/0.999.",
          "实验 1：批次 128，学习率 0.0002/0.0002，隐向量 100 维，200 个 epoch，Adam 0.5/0.999。", training.baseline),
    Claim("l.table", "log", "Each experiment is a row: configuration, losses, FID, time, hardware, samples, notes.",
          "每次实验为一行：配置、损失、FID、时间、硬件、样本、备注。", training.table),
    Claim("l.results", "log", "Final losses, FID and the best configuration are to be reported.",
          "将报告最终损失、FID 与最佳配置。",
          unmeasured("the log leaves them blank", "记录中这些内容为空")),
)  # fmt: skip
DOCUMENT = Document("001", {"en": "DCGAN experiments log", "zh": "DCGAN 实验记录"}, SECTIONS, CLAIMS)
