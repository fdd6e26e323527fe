"""The rungs of training: the table of those that a system's configuration climbs. Imports no framework."""

from __future__ import annotations

from dataclasses import replace

from parity.checks.registry import Rung, Rungs, register, table

TRAINING_RUNGS: Rungs = table(
    Rung(
        "step",
        "单步",
        "Equal initial weights, bit for bit; equal losses, gradients' moments and weights after one step.",
        "初始权重逐位相同；一步之后损失、梯度矩与权重相同。",
        "parity.systems.training.rungs:step",
        headline="finding",
    ),
    Rung(
        "training",
        "训练",
        "Many steps in lockstep stay together; the first diverging one is named.",
        "多步同步训练保持一致；若出现偏离，则指出第一步。",
        "parity.systems.training.rungs:training",
        headline="finding",
    ),
    Rung(
        "checkpoint",
        "检查点",
        "Training stopped, converted and resumed on the other side continues the same run.",
        "训练中断、转换后在另一框架中继续，轨迹不变。",
        "parity.systems.training.checkpointing:checkpoint",
        headline="finding",
    ),
    Rung(
        "data",
        "数据",
        "Both sides see the same batches, and the same spectrograms from the same sound.",
        "两边得到相同的批次，同样的声音得到同样的频谱图。",
        "parity.systems.training.data:data",
        headline="finding",
    ),
    Rung(
        "distribution",
        "分布式",
        "Several devices compute what one device computes.",
        "多设备计算的结果与单设备相同。",
        "parity.systems.distribution.rung:distribution",
        headline="finding",
    ),
)
TRAINING = tuple(TRAINING_RUNGS)
ONE_DEVICE = TRAINING[: TRAINING.index("distribution")]

BFLOAT16 = {
    name: replace(TRAINING_RUNGS[name], function=f"parity.systems.training.bfloat16:{name}")
    for name in ("step", "training")
}
BFLOAT16_RUNGS: Rungs = {**TRAINING_RUNGS, **BFLOAT16}
"""The same ladder where values are rounded too much to be compared one by one."""

register(TRAINING_RUNGS)
