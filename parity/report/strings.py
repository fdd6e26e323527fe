"""Every word of the report in English and Chinese: one table, looked up by key."""

from __future__ import annotations

from typing import Literal

from parity.checks import registry

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

STRINGS: dict[str, dict[Language, str]] = {
    key: {"en": english, "zh": chinese}
    for key, english, chinese in (
        ("title", "Parity report", "一致性报告"),
        ("subtitle", "Keras reference against PyTorch port, measured", "Keras 参考实现与 PyTorch 移植的逐项实测"),
        ("skip", "Skip to the content", "跳到正文"),
        ("contents", "Contents", "目录"),
        ("language", "Language", "语言"),
        ("en", "English", "English"),
        ("zh", "中文", "中文"),
        # verdict words
        ("pass", "pass", "通过"),
        ("fail", "fail", "失败"),
        ("known-difference", "known difference", "已知差异"),
        ("abstain", "abstained", "无法判断"),
        ("absent", "not run", "未运行"),
        ("faithful", "faithful", "忠实"),
        ("not-faithful", "not faithful", "不忠实"),
        ("open", "no difference found", "未发现差异"),
        ("true", "true", "成立"),
        ("false", "false", "不成立"),
        ("conditional", "conditional", "有条件成立"),
        ("not measurable", "not measurable", "无法测量"),
        ("pass.why", "measured, and within its limit", "已测量，且在限值之内"),
        ("fail.why", "measured, and beyond its limit", "已测量，且超出限值"),
        (
            "known-difference.why",
            "differs by a named, measured rule of the frameworks that stock layers cannot avoid",
            "由框架自身规则造成的差异，已命名并实测，标准层无法避免",
        ),
        ("abstain.why", "could not be judged; the reason is given", "无法判断，原因已注明"),
        # banner
        ("banner.faithful", "The ports are faithful", "移植忠实于参考实现"),
        ("banner.not-faithful", "Not every port is faithful", "并非所有移植都忠实"),
        ("banner.open", "No difference found in what was asked", "在检查范围内未发现差异"),
        ("banner.empty", "Nothing was verified", "没有任何验证"),
        (
            "banner.lead",
            "{passed} of {total} pairs pass every rung that was run.",
            "{total} 对网络中有 {passed} 对通过了全部已运行的检查级。",
        ),
        ("coverage", "Coverage", "覆盖率"),
        (
            "coverage.sentence",
            "Coverage: {judged} of {total} layers judged by value; {rest}.",
            "覆盖率：{total} 层中有 {judged} 层按数值判定；{rest}。",
        ),
        ("coverage.layers", "{judged} of {total} layers judged by value", "{total} 层中有 {judged} 层按数值判定"),
        (
            "coverage.parameters",
            "{judged} of {total} parameters followed step by step",
            "{total} 个参数中有 {judged} 个逐步比较",
        ),
        ("coverage.checks", "{judged} of {total} checks judged", "{total} 项检查中有 {judged} 项得到判定"),
        (
            "coverage.noise",
            "{count} left out, each for its reason:",
            "有 {count} 项不予比较，原因如下：",
        ),
        (
            "coverage.trained",
            "{followed} of {parameters} parameters followed through {trained} training runs.",
            "{trained} 次训练中，{parameters} 个参数有 {followed} 个逐步比较。",
        ),
        ("coverage.full", "no layer abstained", "没有无法判断的层"),
        ("coverage.abstained", "the other {count} say why not", "其余 {count} 层均注明原因"),
        ("coverage.reasons", "Not judged, and why:", "未判定的层及原因："),
        ("coverage.output", "the network's output judged as a whole", "按整体判定网络的输出"),
        ("coverage.nothing", "no layer judged by value", "没有按数值判定的层"),
        # what was asked of a pair
        ("asked", "Asked", "检查范围"),
        ("scope", "Scope", "用途"),
        ("scope.training", "training and inference", "训练与推理"),
        ("scope.inference", "inference alone", "仅推理"),
        ("faithful.for", "Faithful for", "忠实的用途"),
        ("faithful.for.training", "training and inference", "训练与推理"),
        ("faithful.for.inference", "inference, not training", "推理，训练不忠实"),
        ("faithful.for.inference.asked", "inference; training was not asked", "推理；未检查训练"),
        ("faithful.for.", "neither", "均不忠实"),
        ("faithful.for.open", "open: values were not asked", "未定：未检查数值"),
        ("weights.used", "Weights", "使用的权重"),
        ("weights.copied", "the reference's, copied into the port", "已复制参考模型的权重"),
        ("weights.own", "the port's own", "使用移植模型自己的权重"),
        ("not.asked", "Rungs not asked", "未检查的级"),
        ("not.asked.none", "none", "无"),
        ("notes", "Notes", "说明"),
        ("finding.layers", "at {count} layers: {names}", "共 {count} 层：{names}"),
        ("output.unjudged", "The network's output could not be judged.", "网络的输出无法判定。"),
        ("stat.pairs", "pairs faithful", "对忠实"),
        ("stat.layers", "layers judged", "层已判定"),
        ("stat.parameters", "parameters followed in training", "个参数在训练中逐步比较"),
        ("stat.deviation", "largest difference in training, float64", "训练中的最大差异（float64）"),
        ("stat.checks", "checks made", "项检查"),
        ("stat.worst", "largest float64 error of a layer", "单层最大 float64 误差"),
        ("stat.rounding", "largest float32 error, in roundings", "最大 float32 误差（舍入倍数）"),
        # summary
        ("summary", "Summary", "总览"),
        (
            "summary.lead",
            "Each pair climbs the ladder from left to right. Select a pair to see its measurements.",
            "每对网络从左到右逐级检查。点击名称查看其测量结果。",
        ),
        ("pair", "Pair", "网络对"),
        ("seconds", "Seconds", "秒"),
        ("verdict", "Verdict", "判定"),
        ("legend", "Legend", "图例"),
        ("rungs.explained", "What each rung checks", "各级检查的内容"),
        ("rung", "Rung", "检查级"),
        # networks
        ("networks", "Networks", "各网络"),
        ("variants", "Option variants", "选项变体"),
        (
            "variants.lead",
            "The same networks with other options; open one to see its measurements.",
            "同样的网络，不同的选项；展开即可查看测量结果。",
        ),
        ("rungs", "Rungs", "检查级"),
        ("measured", "Measured", "实测"),
        ("limit", "Limit", "限值"),
        ("checks", "Checks", "检查数"),
        ("message", "Message", "说明"),
        ("closest", "closest to its limit: {layer} ({what}; {unit})", "最接近限值：{layer}（{what}；{unit}）"),
        ("lines", "Line by line", "逐行对照"),
        ("layer", "Layer", "层"),
        ("keras", "Keras", "Keras"),
        ("torch", "PyTorch", "PyTorch"),
        ("parameters", "Parameters", "参数量"),
        ("padding", "Padding per edge", "各边填充"),
        ("padding.conv", "pads", "填充"),
        ("padding.conv-transpose", "crops", "裁剪"),
        ("float64", "float64 error", "float64 误差"),
        ("isolated", "Isolated", "单层误差"),
        ("rounding", "float32, × rounding", "float32 误差（舍入倍数）"),
        ("judgement", "Verdict", "判定"),
        ("note", "Note", "备注"),
        ("parameters.total", "{count} parameters", "{count} 个参数"),
        ("only.keras", "only in Keras", "仅在 Keras 中"),
        ("only.torch", "only in PyTorch", "仅在 PyTorch 中"),
        ("referee.both", "both sides right by definition", "按定义两边均正确"),
        ("referee.reference", "by definition the reference is right", "按定义参考实现正确"),
        ("referee.port", "by definition the port is right", "按定义移植版正确"),
        ("referee.neither", "by definition neither side is right", "按定义两边都不正确"),
        (
            "lines.key",
            "Errors are relative to the reference. float64 error: the layer behind its own upstream layers; isolated:"
            " the same layer fed the reference's input; × rounding: the float32 difference in units of the rounding"
            " that each framework shows against its own float64. Arrows give the zeros that a convolution adds at the"
            " top, bottom, left and right edge, or the pixels that a transposed convolution crops there.",
            "误差均相对于参考实现。float64 误差：该层接在自己的上游之后；单层误差：该层直接输入参考实现的中间结果；"
            "舍入倍数：float32 差异与各框架相对自身 float64 的舍入误差之比。"
            "箭头表示卷积在上、下、左、右各边填充的零，或转置卷积在各边裁掉的像素。",
        ),
        ("findings", "Findings", "发现的问题"),
        ("findings.none", "Nothing found that needs mending.", "未发现需要修复的问题。"),
        ("fix", "Fix", "修复方法"),
        ("evidence", "Evidence", "证据"),
        ("copy", "Copy", "复制"),
        ("copied", "Copied", "已复制"),
        ("flow", "Shape flow", "形状流"),
        (
            "flow.lead",
            "The same values in two layouts; the channel axis is tinted.",
            "同样的数值，两种排列；着色的是通道轴。",
        ),
        ("defaults", "Critical defaults", "关键默认值"),
        ("defaults.lead", "Read from the live layers of both sides.", "从两边实际构建的层中读取。"),
        ("setting", "Setting", "设置"),
        ("layers", "Layers", "层"),
        ("agreement", "Agreement", "是否一致"),
        ("equal", "equal", "相同"),
        ("equivalent", "equivalent", "等价"),
        ("differs", "differs", "不同"),
        ("stated.once", "one side only", "仅一边有"),
        ("plot", "Error per layer", "逐层误差"),
        (
            "plot.alt",
            "Relative float64 error of each layer, chained and isolated, on a logarithmic scale",
            "每层的相对 float64 误差（串联与单层），对数坐标",
        ),
        ("plot.axis", "relative error, float64", "相对误差，float64"),
        ("plot.chained", "chained", "串联"),
        ("plot.isolated", "isolated", "单层"),
        ("plot.limit", "limit", "限值"),
        ("plot.exact", "exact", "相等"),
        ("plot.nan", "not finite", "非有限值"),
        # filters
        ("filter", "Filter", "筛选"),
        ("filter.any", "every verdict", "全部判定"),
        ("filter.shown", "{shown} of {total} shown", "显示 {shown} / {total}"),
        ("sort", "Sort by this column", "按此列排序"),
        # training
        ("training", "Training", "训练"),
        (
            "training.lead",
            "Both frameworks train one configuration side by side, in float64, on the same drawn batches; no weight is"
            " copied, for both start from the same draws. After each step every loss, parameter, optimiser slot, moving"
            " average and running statistic is compared. The limit is measured: the Keras run is made once more from"
            " weights moved in their last bits, and 64 times what becomes of that is allowed.",
            "两个框架用同一配置、同样的随机批次以 float64 并排训练；不复制任何权重，因为两边从相同的随机数出发。"
            "每一步之后比较每个损失、参数、优化器状态、滑动平均和运行统计量。限值来自实测："
            "让 Keras 从末位被扰动的权重再训练一次，允许其偏离的 64 倍。",
        ),
        (
            "training.variants",
            "The same systems with other losses, optimisers and options; open one to see its curves.",
            "同样的系统，不同的损失、优化器与选项；展开即可查看曲线。",
        ),
        ("training.none", "Nothing was trained in this run.", "本次运行没有进行训练。"),
        ("training.conditions", "{steps} steps, {conditions}", "{steps} 步，{conditions}"),
        ("training.unjudged", "Not every loss could be judged.", "有的损失无法判定。"),
        ("losses", "Losses", "损失"),
        ("losses.axis", "by step; one line lies on the other where the runs agree", "按步；两次训练一致时两线重合"),
        ("losses.alt", "the loss by step in Keras and in PyTorch", "Keras 与 PyTorch 的逐步损失"),
        ("loss.d_loss", "what D minimises", "判别器最小化的损失"),
        ("loss.g_loss", "what G minimises", "生成器最小化的损失"),
        ("loss.d_real", "D's mean logit on real images", "判别器对真实图像的平均输出"),
        ("loss.d_fake", "D's mean logit on fakes", "判别器对生成图像的平均输出"),
        ("loss.penalty", "gradient penalty, weighted", "加权后的梯度惩罚"),
        (
            "loss.d_class",
            "D's classification loss on real images and fakes, weighted",
            "判别器对真实与生成图像的分类损失，加权后",
        ),
        (
            "loss.g_class",
            "D's classification loss on the classes that G was given, weighted",
            "生成器所得的分类损失，加权后",
        ),
        ("loss.perceptual", "distance in VGG19's features, weighted", "VGG19 特征的距离，加权后"),
        ("loss.texture", "distance of the features' Gram matrices, weighted", "特征 Gram 矩阵的距离，加权后"),
        ("deviation", "Distance of the two runs", "两次训练的距离"),
        ("deviation.apart", "largest relative difference", "最大相对差异"),
        ("deviation.rounding", "what rounding alone does", "仅由舍入造成的偏离"),
        (
            "deviation.alt",
            "Largest relative difference of any array by step, and the reference's own deviation by rounding,"
            " logarithmic",
            "每一步各数组的最大相对差异，以及参考实现自身的舍入偏离，对数坐标",
        ),
        ("parameters.by.parameter", "Parameter by parameter", "逐参数对照"),
        ("first.step", "After step 1", "第一步之后"),
        ("all.steps", "All steps", "全部步数"),
        ("times.rounding", "× rounding", "舍入倍数"),
        ("loss", "Loss", "损失"),
        ("losses.first", "first", "首步"),
        ("losses.last", "last", "末步"),
        ("losses.apart", "largest difference", "最大差异"),
        # padding study
        ("study", "Padding study", "填充研究"),
        (
            "study.lead",
            "With kernel 5 and stride 2 the usual recipe padding=2, output_padding=1 gives the shapes of SAME, but"
            " not its values: every window sits one pixel off. The grids show where each one lands.",
            "卷积核 5、步幅 2 时，常用的 padding=2、output_padding=1 能得到与 SAME 相同的形状，但数值不同："
            "每个窗口都偏移了一个像素。下图画出了每个窗口的位置。",
        ),
        ("study.conv", "Convolution", "卷积"),
        ("study.conv-transpose", "Transposed convolution", "转置卷积"),
        ("study.same", "SAME (Keras)", "SAME（Keras）"),
        ("study.conv.symmetric", "padding=2", "padding=2"),
        ("study.conv-transpose.symmetric", "padding=2, output_padding=1", "padding=2, output_padding=1"),
        (
            "study.conv.caption",
            "pads ({before}, {after}): windows are centred on pixels {centres}",
            "填充 ({before}, {after})：窗口中心位于像素 {centres}",
        ),
        (
            "study.conv-transpose.caption",
            "crops ({before}, {after}): input pixels land on output pixels {centres}",
            "裁剪 ({before}, {after})：输入像素落在输出像素 {centres}",
        ),
        ("study.key.image", "image", "图像"),
        ("study.key.pad", "padding (zeros)", "填充（零）"),
        ("study.key.crop", "cropped away", "被裁掉"),
        ("study.key.window", "first window", "第一个窗口"),
        ("study.key.stamp", "stamp of the first input pixel", "第一个输入像素的印记"),
        ("study.key.centre", "centre of a window", "窗口中心"),
        ("study.key.landing", "where an input pixel lands", "输入像素的落点"),
        (
            "study.mirror",
            "Flip every kernel and the image in both directions, and the symmetric recipe becomes exact. With weights"
            " copied as they are it is wrong, by the amounts measured here (relative error of the values).",
            "把每个卷积核与图像在两个方向上都翻转，对称填充就完全准确；若原样复制权重则有误差，"
            "实测如下（数值的相对误差）。",
        ),
        ("study.subject", "What is compared", "比较对象"),
        ("study.direct", "Weights copied directly", "直接复制权重"),
        ("study.mirrored", "Weights copied mirrored", "镜像复制权重"),
        ("study.unmeasured", "The two copies were not measured in this run.", "本次运行未测量两种复制方式。"),
        ("study.exact", "Exact in PyTorch", "PyTorch 中的精确写法"),
        ("relation.equal values", "The two give equal values.", "两者数值相同。"),
        (
            "relation.equal in a mirror",
            "Equal shapes, unequal values: the one is the other in a mirror.",
            "形状相同，数值不同：一个是另一个的镜像。",
        ),
        ("relation.equal shape only", "Equal shapes, unequal values.", "形状相同，数值不同。"),
        ("relation.nothing", "Not even the shapes agree.", "连形状也不同。"),
        # gallery
        ("gallery", "Generated side by side", "生成结果对照"),
        (
            "gallery.lead",
            "One latent vector, one set of weights, both frameworks; the difference is amplified until it can be seen.",
            "同一隐向量、同一组权重、两个框架；差异被放大到可见。",
        ),
        ("gallery.difference", "Difference × {factor}", "差异 × {factor}"),
        ("gallery.equal", "No difference at all", "完全没有差异"),
        ("gallery.largest", "largest difference {value}", "最大差异 {value}"),
        ("gallery.shapes", "shapes differ: {reference} and {port}", "形状不同：{reference} 与 {port}"),
        ("gallery.nan", "{count} values are not finite", "{count} 个值非有限"),
        # claims
        ("claims", "Claims, measured", "声明逐条实测"),
        (
            "claims.lead",
            "What the documents behind these systems say, beginning with a check-list in which every line was ticked."
            " Here each of their statements is measured on the twins.",
            "这些系统所依据的文档（首先是一份逐行打勾的核对清单）说了什么。这里对其中每一条声明在两边的网络上实测。",
        ),
        (
            "claims.summary",
            "{total} statements: {true} true, {conditional} conditional, {false} false, {not_measurable} not"
            " measurable.",
            "{total} 条声明：{true} 条成立，{conditional} 条有条件成立，{false} 条不成立，{not_measurable}"
            " 条无法测量。",
        ),
        ("claim", "Claim", "声明"),
        ("claim.source", "Section", "出处"),
        ("claims.none", "No claim was measured in this run.", "本次运行没有测量任何声明。"),
        # two presets
        ("against", "Two presets compared", "两个预设的对比"),
        (
            "against.lead",
            "Read from the built networks and the resolved configurations.",
            "读自构建好的网络与解析后的配置。",
        ),
        ("against.generator", "Generator", "生成器"),
        ("against.discriminator", "Discriminator", "判别器"),
        ("against.training", "Training", "训练"),
        ("component", "Component", "组件"),
        # reproduce
        ("reproduce", "Reproduce", "复现"),
        (
            "reproduce.lead",
            "Inputs are drawn from the seed, so the same command on the same versions gives the same figures.",
            "输入由随机种子生成，因此同样的版本、同样的命令会得到同样的数字。",
        ),
        ("command", "Command", "命令"),
        ("seed", "Seed", "随机种子"),
        ("created", "Created", "生成时间"),
        ("versions", "Versions", "版本"),
        ("schema", "Schema", "数据格式"),
        (
            "machine.readable",
            "The same content for machines: report.json, junit.xml",
            "机器可读的同样内容：report.json、junit.xml",
        ),
    )
}


def text(key: str, language: Language, **values: object) -> str:
    """The string ``key`` in ``language`` with ``values`` filled in; KeyError for a key that is not in the table.

    The words of a rung stand with the rung, in :mod:`parity.checks.registry`.
    """
    string = _texts(key)[language]
    return string.format(**values) if values else string


def known(key: str) -> bool:
    """Whether the table has ``key``, for words that come from data (rungs, judgements)."""
    return key in STRINGS or key in registry.words()


def _texts(key: str) -> dict[Language, str]:
    return STRINGS[key] if key in STRINGS else registry.words()[key]
