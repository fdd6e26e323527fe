"""Seed 002, a chapter of the SoundGan tutorial: every claim by its measurement."""

from __future__ import annotations

from parity.systems.claims import seed_002_networks as networks
from parity.systems.claims.measured import Claim, Document, Words, unmeasured

SECTIONS: dict[str, Words] = {
    "pictures": {"en": "Spectrograms as pictures", "zh": "作为图像的频谱图"},
    "players": {"en": "Generator and discriminator", "zh": "生成器与判别器"},
    "game": {"en": "Adversarial training", "zh": "对抗训练"},
    "g": {"en": "Inside the generator", "zh": "生成器内部"},
    "d": {"en": "Inside the discriminator", "zh": "判别器内部"},
}
CLAIMS = (
    Claim("spectrogram", "pictures g",
          "The generator makes spectrograms, which another part turns into sound: 32,768 samples"
          " from 256 frames of 256 bins, STFT 512/128.",
          "生成器产生频谱图，由另一部分变为声音：256 帧 × 256 个频点、STFT 512/128，共 32,768 个采样。",
          networks.framing(512, 128, 32_768)),
    Claim("noise", "players g", "The generator begins with a small random vector.", "生成器从一个小的随机向量开始。",
          networks.latents),
    Claim("score", "players d", "The discriminator says by a score how real its input is.",
          "判别器用评分表示输入有多真实。",
          networks.logits),
    Claim("game", "game", "Both update themselves in turn.", "两者轮流更新。", networks.both_learn),
    Claim("convincing", "game", "Both become so good that sounds are convincing.", "两者越来越好，声音令人信服。",
          unmeasured("a judgement about trained networks and listening; nothing here is trained",
                     "这是关于训练结果与听感的评价；此处没有训练任何网络")),
    Claim("config", "g d", "Sizes come from a configuration: nz, ngf, ndf, nc, image_size.",
          "尺寸来自配置：nz、ngf、ndf、nc、image_size。", networks.configured),
    Claim("g.first", "g",
          "conv1 is a transposed convolution nz → 32·ngf, kernel 4, stride 1, without padding and bias.",
          "conv1 为转置卷积 nz → 32·ngf，卷积核 4，步幅 1，无填充与偏置。", networks.first_up),
    Claim("g.depth", "g", "Seven of them reach the final size.", "共七个，达到最终尺寸。", networks.depth),
    Claim("g.doubles", "g", "Each of the others enlarges the image: kernel 4, stride 2, padding 1.",
          "其余每个放大图像：卷积核 4，步幅 2，填充 1。", networks.doubles),
    Claim("g.last", "g", "conv7 is a transposed convolution ngf → nc, kernel 4, stride 2, padding 1, then tanh.",
          "conv7 为转置卷积 ngf → nc，卷积核 4，步幅 2，填充 1，再接 tanh。", networks.last_up),
    Claim("activations", "g d",
          "Between the layers stands LeakyReLU 0.2, no batch norm and no bias; tanh brings values into"
          " (−1, 1).",
          "层间为 LeakyReLU 0.2，没有批归一化与偏置；tanh 使值在 (−1, 1) 之内。", networks.activations),
    Claim("d.first", "d",
          "conv1 is a convolution nc → ndf, kernel 4, stride 2, padding 1, without bias, then LeakyReLU 0.2.",
          "conv1 为卷积 nc → ndf，卷积核 4，步幅 2，填充 1，无偏置，再接 LeakyReLU 0.2。", networks.first_down),
    Claim("d.last", "d", "conv6 is a convolution 16·ndf → 1, kernel 4, stride 1, without padding and bias.",
          "conv6 为卷积 16·ndf → 1，卷积核 4，步幅 1，无填充与偏置。", networks.last_down),
    Claim("d.score", "d", "Six convolutions and a flatten turn the generator's spectrogram into a single score.",
          "六个卷积与展平把生成器的频谱图变为单个评分。", networks.one_score),
    Claim("d.size", "d", "A convolution's output is (size + 2·padding − kernel) // stride + 1 pixels.",
          "卷积的输出为 (size + 2·padding − kernel) // stride + 1 个像素。", networks.output_size),
)  # fmt: skip
DOCUMENT = Document("002", {"en": "SoundGan tutorial", "zh": "SoundGan 教程"}, SECTIONS, CLAIMS)
