"""Synthetic verdicts shaped like the real ones, so that the report can be tested without a framework."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.verdict import Check, Coverage, Curve, Finding, LayerRow, RungResult, Training, Verdict

RUNGS = ("structure", "weights", "shapes", "padding", "forward", "gradients", "penalty", "state")
NASTY = "<script>alert('x')</script> | `tick` & \"quote\" \x00"


def layer_rows(broken: bool = False) -> list[LayerRow]:
    rows = [
        LayerRow(
            kind="dense",
            reference_layer="z_project",
            layer="z_project",
            reference_shape=[2, 16384],
            shape=[2, 16384],
            reference_source="tf_impl/specgan.py:61",
            source="torch_impl/specgan.py:64",
            parameters=1654784,
            reference_attributes={"features": 16384, "bias": True},
            attributes={"features": 16384, "bias": True},
            float64=3.1e-16,
            isolated=3.1e-16,
            rounding=1.1,
        )
    ]
    side, channels = 4, 1024
    for index in range(5):
        side, channels = side * 2, channels // 2 if index < 4 else 1
        name = f"upconv_{index}"
        bad = broken and index >= 2
        rows.append(
            LayerRow(
                kind="conv-transpose",
                reference_layer=name,
                layer=name,
                reference_shape=[2, side, side, channels],
                shape=[2, channels, side, side],
                reference_source=f"tf_impl/specgan.py:{72 + index}",
                source=f"torch_impl/specgan.py:{75 + index}",
                parameters=25 * channels * channels * 2 + channels,
                reference_attributes={"kernel_size": [5, 5], "strides": [2, 2], "bias": True, "padding": "same"},
                attributes={"kernel_size": [5, 5], "strides": [2, 2], "bias": True, "padding": "crop"},
                reference_padding=[[1, 2], [1, 2]],
                padding=[[2, 1], [2, 1]] if broken and index == 2 else [[1, 2], [1, 2]],
                float64=0.82 if bad else 2.0e-15 * (index + 1),
                isolated=0.82 if broken and index == 2 else 4.0e-16,
                rounding=4.1e6 if bad else 1.0 + index / 10,
                referee="port" if broken and index == 2 else "",
                judgement="fail" if bad else "pass",
                note="upstream of this layer is already wrong" if broken and index > 2 else "",
            )
        )
        last = index == 4
        rows.append(
            LayerRow(
                kind="activation",
                reference_layer="tanh" if last else f"{name}_relu",
                layer="tanh" if last else f"{name}_relu",
                reference_shape=[2, side, side, channels],
                shape=[2, channels, side, side],
                reference_source=f"tf_impl/specgan.py:{72 + index}",
                source=f"torch_impl/specgan.py:{75 + index}",
                reference_attributes={"function": "tanh" if last else "relu"},
                attributes={"function": "tanh" if last else "relu"},
                float64=0.8 if bad else 2.0e-15,
                isolated=0.0,
                rounding=3.0e6 if bad else 1.2,
                judgement="fail" if bad else "pass",
            )
        )
    return rows


def verdict(name: str = "specgan.generator", broken: bool = False, **changes: Any) -> Verdict:
    rows = layer_rows(broken)
    rungs = {}
    for rung in RUNGS:
        failing = broken and rung in ("padding", "forward", "gradients")
        checks = [
            Check(
                rung,
                row.layer,
                "chained, float64",
                row.judgement if failing else "pass",
                measured=row.float64 if failing else 2.0e-15,
                limit=1e-9,
                unit="relative",
            )
            for row in rows
        ]
        rungs[rung] = RungResult(
            rung, "fail" if failing else "pass", "upconv_2 differs" if failing else "", checks, seconds=0.21
        )
    rungs["state"] = RungResult("state", "known-difference", "running variance by n/(n−1)", [], 0.1)
    rungs["penalty"] = RungResult("penalty", "abstain", "no double backward for this pair", [], 0.0)
    findings = []
    if broken:
        findings.append(
            Finding(
                kind="padding-alignment",
                layer="upconv_2",
                reference_layer="upconv_2",
                message="upconv_2: shapes agree, values differ (max |Δ| 0.82, 97 %); matches to 2e-15 when shifted by"
                " (1, 1): padding=2/output_padding=1 crops (2, 1), SAME crops (1, 2).",
                fix="Use padding=1 and drop the last row and column.",
                rung="forward",
                evidence={"shift": [1, 1], "residual": 2.1e-15},
            )
        )
    settings: dict[str, Any] = {
        "name": name,
        "rungs": rungs,
        "layers": rows,
        "findings": findings,
        "coverage": Coverage(11, 12, {"reshape": "moves data only; judged with the next layer"}),
        "first_divergence": rows[5] if broken else None,
        "versions": {"numpy": "2.4"},
        "command": f"parity verify {name}",
        "seconds": 2.3,
    }
    return Verdict(**{**settings, **changes})


def trained(name: str = "dcgan.training", broken: bool = False, **changes: Any) -> Verdict:
    """A training run of three steps, whose third goes astray if ``broken``."""
    rows = [
        LayerRow(
            "kernel", "generator/upconv_0/kernel", "generator/upconv_0.weight", [5, 5, 8, 16], [16, 8, 5, 5],
            parameters=3200, float64=2.1e-3 if broken else 3.3e-14, isolated=2.0e-16, rounding=4e9 if broken else 1.7,
            judgement="fail" if broken else "pass",
        ),
        LayerRow(
            "bias", "generator/upconv_0/bias", "generator/upconv_0.bias", [8], [8], parameters=8, float64=0.7,
            isolated=0.2, rounding=3.0, judgement="abstain", note="upconv_0_bn subtracts the mean",
        ),
    ]  # fmt: skip
    rungs = {rung: RungResult(rung, "pass", "fine", [Check(rung, "d_loss", "step 1", "pass", 1e-16, 1e-14, "relative")])
             for rung in ("step", "training", "checkpoint", "data")}  # fmt: skip
    astray = Finding(
        "learning-rate", "generator/upconv_0.weight", "generator/upconv_0/kernel",
        "step 3: generator/upconv_0/kernel: is reproduced by the learning rate 0.0002", "the rate", "training",
    )  # fmt: skip
    if broken:
        failed = Check("training", "generator/upconv_0/kernel", "step 3", "fail", 2.1e-3, 1e-13, "relative", "step 3")
        rungs["training"] = RungResult("training", "fail", astray.message, [failed])
    settings: dict[str, Any] = {
        "name": name,
        "rungs": rungs,
        "layers": rows,
        "findings": [astray] if broken else [],
        "coverage": Coverage(1, 2, {"generator/upconv_0/bias": "upconv_0_bn subtracts the mean"}, "parameters"),
        "first_divergence": rows[0] if broken else None,
        "training": Training(
            3,
            "nz=16, batch 4, float64",
            [Curve("d_loss", [1.5, 1.25, 0.75], [1.5, 1.25, 0.5 if broken else 0.75])],
            apart=[2e-16, 4e-15, 2.1e-3 if broken else 3.3e-14],
            rounding=[1e-15, 1e-14, 2e-14],
        ),
    }
    return Verdict(**{**settings, **changes})


def report(*verdicts: Verdict) -> dict[str, Any]:
    grid = np.linspace(-1, 1, 32)
    image = np.sin(6 * grid)[:, None] * np.cos(4 * grid)[None, :]
    noise = np.random.RandomState(0).standard_normal(image.shape) * 1e-7
    return {
        "created": "2025-01-31T12:00:00+00:00",
        "command": "parity report --out report --seed 0",
        "seed": 0,
        "versions": {
            "python": "3.11.2",
            "numpy": "2.4.0",
            "tensorflow": "2.21.0",
            "keras": "3.15.1",
            "torch": "2.13.0",
        },
        "verdicts": [item.to_dict() for item in verdicts],
        "padding_study": {
            "measured": [
                {
                    "what": {"en": "convolution, 5×5, stride 2", "zh": "卷积，5×5，步幅 2"},
                    "direct": 1.28,
                    "mirrored": 2.2e-16,
                }
            ]
        },
        "claims": [
            {
                "id": "000",
                "title": {"en": "Check-list", "zh": "核对清单"},
                "claims": [
                    {
                        "id": "layers",
                        "claim": {
                            "en": "The generator has five transposed convolutions.",
                            "zh": "生成器有五个转置卷积。",
                        },
                        "source": {"en": "Generator", "zh": "生成器"},
                        "verdict": "true",
                        "measured": {"en": "5 and 5", "zh": "5 与 5"},
                    },
                    {
                        "id": "padding",
                        "claim": {
                            "en": "padding=2, output_padding=1 equals SAME.",
                            "zh": "padding=2、output_padding=1 等同 SAME。",
                        },
                        "source": {"en": "Padding", "zh": "填充"},
                        "verdict": "false",
                        "measured": {"en": "equal shapes; values differ by 1.28", "zh": "形状相同；数值相差 1.28"},
                    },
                ],
            },
        ],
        "gallery": [{"title": "specgan", "reference": image[..., None], "port": (image + noise)[..., None]}],
    }
