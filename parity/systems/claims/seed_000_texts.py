"""What the original port's check-list claims, in our words and two languages, with the sections that say so."""

from __future__ import annotations

from parity.report.strings import Language

SECTIONS: dict[str, dict[Language, str]] = {
    "generator": {"en": "Generator architecture", "zh": "生成器架构"},
    "discriminator": {"en": "Discriminator architecture", "zh": "判别器架构"},
    "parameters": {"en": "Critical parameters", "zh": "关键参数"},
    "flow": {"en": "Shape flow", "zh": "形状流"},
    "differences": {"en": "Key differences", "zh": "关键差异"},
    "summary": {"en": "Comparison summary", "zh": "架构对比总结"},
    "checklist": {"en": "Verification checklist", "zh": "验证清单"},
    "features": {"en": "Confirmed features", "zh": "确认的特性"},
    "quality": {"en": "Code quality check", "zh": "代码质量检查"},
    "notes": {"en": "Implementation notes", "zh": "关键实现说明"},
    "completeness": {"en": "Migration completeness", "zh": "移植完整性"},
    "usage": {"en": "Usage example", "zh": "使用示例"},
    "files": {"en": "File status", "zh": "文件状态"},
    "score": {"en": "Fidelity score", "zh": "忠实度评分"},
}

_G = [(4, 1024, 8, 512), (8, 512, 16, 256), (16, 256, 32, 128), (32, 128, 64, 64), (64, 64, 128, 1)]
_D = [(128, 1, 64, 64), (64, 64, 32, 128), (32, 128, 16, 256), (16, 256, 8, 512), (8, 512, 4, 1024)]


def _sized(side: int, channels: int, side_out: int, channels_out: int) -> str:
    return f"{side}×{side}×{channels} → {side_out}×{side_out}×{channels_out}"


# id: (sections, English, Chinese)
TEXTS: dict[str, tuple[str, str, str]] = {
    "g.input": (
        "generator checklist flow",
        "The generator takes noise [N, 100]; the port also takes [N, 100, 1, 1].",
        "生成器输入噪声 [N, 100]；移植版也接受 [N, 100, 1, 1]。",
    ),
    "g.project": (
        "generator flow",
        "A dense layer 100 → 4·4·1024 is reshaped to 4×4 pixels of 1024 channels.",
        "全连接层 100 → 4·4·1024，再重塑为 4×4、1024 通道。",
    ),
    "g.first": (
        "generator",
        "The projection is followed by an optional batch norm, then ReLU.",
        "投影之后是可选的批归一化，然后是 ReLU。",
    ),
    **{
        f"g.layer{index}": (
            "generator flow",
            f"Generator layer {index}: {_sized(*sizes)}, kernel 5, stride 2; in PyTorch padding=2, output_padding=1.",
            f"生成器第 {index} 层：{_sized(*sizes)}，卷积核 5，步幅 2；PyTorch 中 padding=2、output_padding=1。",
        )
        for index, sizes in enumerate(_G)
    },
    "g.output": (
        "generator checklist flow",
        "The generator returns [N, 128, 128, 1] in TensorFlow and [N, 1, 128, 128] in PyTorch.",
        "生成器输出：TensorFlow 为 [N, 128, 128, 1]，PyTorch 为 [N, 1, 128, 128]。",
    ),
    "g.activations": (
        "generator summary checklist completeness",
        "The generator's hidden layers use ReLU, its last one tanh.",
        "生成器的隐藏层用 ReLU，最后一层用 tanh。",
    ),
    "g.range": ("generator summary", "The generator's values lie in [−1, 1].", "生成器的输出值在 [−1, 1] 之内。"),
    "g.order": (
        "generator differences checklist",
        "Channel order NHWC → NCHW is adapted correctly: reshape to (4, 4, 1024) becomes view to (1024, 4, 4).",
        "通道顺序 NHWC → NCHW 已正确适配：reshape 到 (4, 4, 1024) 变为 view 到 (1024, 4, 4)。",
    ),
    "d.input": (
        "discriminator checklist flow",
        "The discriminator takes [N, 128, 128, 1] in TensorFlow and [N, 1, 128, 128] in PyTorch.",
        "判别器输入：TensorFlow 为 [N, 128, 128, 1]，PyTorch 为 [N, 1, 128, 128]。",
    ),
    **{
        f"d.layer{index}": (
            "discriminator flow",
            f"Discriminator layer {index}: {_sized(*sizes)}, kernel 5, stride 2; in PyTorch padding=2.",
            f"判别器第 {index} 层：{_sized(*sizes)}，卷积核 5，步幅 2；PyTorch 中 padding=2。",
        )
        for index, sizes in enumerate(_D)
    },
    "d.flatten": (
        "discriminator checklist flow",
        "Flattening to [N, 4·4·1024] is the same by reshape in TensorFlow and by view in PyTorch.",
        "TensorFlow 的 reshape 与 PyTorch 的 view 同样展平为 [N, 4·4·1024]。",
    ),
    "d.dense": (
        "discriminator summary flow",
        "A dense layer 16384 → 1 follows, its single column squeezed away.",
        "随后是全连接层 16384 → 1，再去掉单列维度。",
    ),
    "d.output": (
        "discriminator summary checklist notes",
        "The discriminator returns [N] logits; there is no sigmoid.",
        "判别器输出 [N] 个 logit，没有 sigmoid。",
    ),
    "d.activation": (
        "discriminator summary checklist completeness",
        "Every convolution of the discriminator is followed by LeakyReLU with slope 0.2.",
        "判别器每个卷积之后都是斜率 0.2 的 LeakyReLU。",
    ),
    "d.first-norm": (
        "discriminator checklist",
        "The discriminator's first layer never has batch norm; the others have it as an option.",
        "判别器第一层从不使用批归一化，其余各层可选。",
    ),
    "p.nz": ("parameters", "The latent dimension is 100 by default.", "隐向量维度默认为 100。"),
    "p.kernel_len": ("parameters", "The kernel length is 5 by default.", "卷积核长度默认为 5。"),
    "p.dim": ("parameters checklist", "The dimension multiplier is 64 by default.", "维度系数默认为 64。"),
    "p.nc": ("parameters", "The number of channels is 1 by default.", "通道数默认为 1。"),
    "p.use_batchnorm": (
        "parameters summary checklist completeness",
        "Batch norm is optional and off by default.",
        "批归一化可选，默认关闭。",
    ),
    "flow.g": (
        "flow",
        "Through the generator both have the same spatial sizes; only the channel axis stands elsewhere.",
        "生成器中两个框架的空间尺寸处处相同，只是通道轴位置不同。",
    ),
    "flow.d": (
        "flow",
        "Through the discriminator both have the same spatial sizes; only the channel axis stands elsewhere.",
        "判别器中两个框架的空间尺寸处处相同，只是通道轴位置不同。",
    ),
    "padding": (
        "differences notes completeness",
        "TensorFlow's SAME is padding=2, output_padding=1 in PyTorch, as shape tests verify.",
        "TensorFlow 的 SAME 等同于 PyTorch 的 padding=2、output_padding=1，形状测试已验证。",
    ),
    "formula": (
        "notes",
        "The output size is (in − 1)·2 − 2·2 + 5 + 1: 8 from 4, and 16 from 8.",
        "输出尺寸为 (in − 1)·2 − 2·2 + 5 + 1：4 得 8，8 得 16。",
    ),
    "norm.modes": (
        "differences",
        "Batch norm follows the training flag by itself: train() and eval() do what the original's flag does.",
        "批归一化自动处理训练模式：train() 与 eval() 等同于原版的标志。",
    ),
    "g.layers": (
        "summary checklist completeness score",
        "The generator has five transposed convolutions.",
        "生成器有五个转置卷积。",
    ),
    "d.layers": (
        "summary checklist completeness score",
        "The discriminator has five convolutions and a dense layer.",
        "判别器有五个卷积和一个全连接层。",
    ),
    "kernel": ("summary checklist completeness", "Every kernel is 5×5.", "所有卷积核均为 5×5。"),
    "stride": ("summary", "Every stride is 2.", "所有步幅均为 2。"),
    "channels": (
        "summary checklist completeness",
        "Images have one channel, at the generator's output and the discriminator's input.",
        "图像为单通道：生成器输出与判别器输入均如此。",
    ),
    "dcgan.kernel": (
        "features",
        "A DCGAN's kernels are 4×4, SpecGAN's 5×5.",
        "DCGAN 的卷积核为 4×4，SpecGAN 为 5×5。",
    ),
    "dcgan.field": (
        "features",
        "Kernels of 5×5 see more: the receptive field is larger than a DCGAN's.",
        "5×5 卷积核的感受野比 DCGAN 更大。",
    ),
    "dcgan.channels": (
        "features",
        "A DCGAN works on 3 channels (RGB), SpecGAN on 1 (grey).",
        "DCGAN 使用 3 通道（RGB），SpecGAN 使用 1 通道（灰度）。",
    ),
    "dcgan.norm": (
        "features",
        "A DCGAN has batch norm by default, SpecGAN has not.",
        "DCGAN 默认使用批归一化，SpecGAN 不使用。",
    ),
    "dcgan.activation": (
        "features",
        "Both discriminators use LeakyReLU with slope 0.2.",
        "两种判别器都使用斜率 0.2 的 LeakyReLU。",
    ),
    "dcgan.layers": (
        "features",
        "A DCGAN needs 5 + 1 layers for 128×128, SpecGAN 5: about the same.",
        "128×128 图像，DCGAN 需要 5 + 1 层，SpecGAN 需要 5 层：大致相同。",
    ),
    "features.better": (
        "features",
        "One channel and 5×5 kernels are better for spectrograms; the architecture is proven.",
        "单通道与 5×5 卷积核更适合频谱图；该架构已被证明有效。",
    ),
    "quality.module": (
        "quality",
        "The port is a proper nn.Module: layers are made in __init__ and applied in forward.",
        "移植版是规范的 nn.Module：在 __init__ 中定义层，在 forward 中使用。",
    ),
    "quality.view": ("quality", "view() is used correctly for reshaping.", "正确使用 view() 重塑形状。"),
    "quality.device": ("quality", "The port moves with .to(device).", "支持 .to(device) 移动设备。"),
    "quality.apply": (
        "quality usage",
        "The port takes apply(weights_init) as a DCGAN does.",
        "与 DCGAN 一样支持 apply(weights_init)。",
    ),
    "quality.docs": (
        "quality",
        "Docstrings, line numbers of the original, shapes beside every layer and parameters are written down.",
        "写有文档字符串、原代码行号、每层的形状注释与参数说明。",
    ),
    "quality.tests": (
        "quality",
        "Test functions stand in the file, which runs by itself.",
        "文件内含测试函数，可独立运行。",
    ),
    "notes.loss": (
        "notes",
        "Losses expect logits: binary cross-entropy with logits takes them as they are.",
        "损失函数需要 logit：带 logit 的二元交叉熵可直接使用。",
    ),
    "nc": (
        "notes completeness",
        "nc MUST be 1 for spectrograms; the port enforces it by its default.",
        "频谱图必须 nc = 1；移植版以默认值强制这一点。",
    ),
    "complete": (
        "completeness",
        "All features of SpecGAN are ported, 100%.",
        "SpecGAN 的全部特性均已移植，完整度 100%。",
    ),
    "init": (
        "completeness usage",
        "Weights are initialised in the DCGAN way, as in the original.",
        "权重按 DCGAN 方式初始化，与原版一致。",
    ),
    "nothing-added": ("completeness", "No layers were added.", "没有增加额外的层。"),
    "kernels-kept": ("completeness", "No kernel size was changed.", "没有改变任何卷积核尺寸。"),
    "no-features": ("completeness", "No features were added that the original lacks.", "没有添加原版没有的特性。"),
    "syntax": (
        "completeness",
        "Only syntax was adapted from TensorFlow to PyTorch.",
        "只是从 TensorFlow 语法改为 PyTorch 语法。",
    ),
    "usage.shapes": (
        "usage",
        "16 latents give images [16, 1, 128, 128] and scores [16].",
        "16 个隐向量得到图像 [16, 1, 128, 128] 与评分 [16]。",
    ),
    "usage.latent": (
        "usage",
        "Latents are drawn by randn, exactly as in the original.",
        "隐向量用 randn 采样，与原版完全一致。",
    ),
    "files": (
        "files",
        "Data set, utilities, moments and models are written; the training notebook is still to do.",
        "数据集、工具、统计量与模型文件已完成；训练笔记本待完成。",
    ),
    "score": (
        "score",
        "100% overall: no deviation from the original architecture, a faithful port.",
        "总体 100%：与原始架构无偏差，是忠实的移植。",
    ),
    "score.g": ("score", "The generator matches to 100%, 5 of 5 layers.", "生成器 100% 一致，5/5 层。"),
    "score.d": ("score", "The discriminator matches to 100%, 5 of 5 layers.", "判别器 100% 一致，5/5 层。"),
    "score.parameters": ("score", "The parameters match to 100%.", "参数 100% 一致。"),
    "score.shapes": ("score", "The shapes match to 100%.", "形状 100% 一致。"),
    "score.activations": ("score", "The activations match to 100%.", "激活函数 100% 一致。"),
}
