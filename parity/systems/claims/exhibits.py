"""What the report shows besides verdicts: images of both frameworks, and weights copied directly and mirrored."""

from __future__ import annotations

from typing import Any

from parity.systems.claims.twins import Twin, Twins, to_numpy, to_torch


def padding_copies(twins: Twins) -> list[dict[str, Any]]:
    """Relative errors of the symmetric padding, weights copied directly and mirrored: first layers, whole networks.

    The report takes them as ``padding_study["measured"]``.
    """
    g, d = twins.both
    layers = (
        (d, "downconv_0", {"en": "convolution 5×5, stride 2", "zh": "卷积 5×5，步幅 2"}),
        (g, "upconv_0", {"en": "transposed convolution 5×5, stride 2", "zh": "转置卷积 5×5，步幅 2"}),
    )
    networks = (
        (g, {"en": "the whole SpecGAN generator", "zh": "整个 SpecGAN 生成器"}),
        (d, {"en": "the whole SpecGAN discriminator", "zh": "整个 SpecGAN 判别器"}),
    )
    return [
        *(
            {
                "what": what,
                "direct": twin.layer_error(twin.direct, name),
                "mirrored": twin.layer_error(twin.mirrored, name, flipped=True),
            }
            for twin, name, what in layers
        ),
        *(
            {"what": what, "direct": twin.error(twin.direct), "mirrored": twin.error(twin.mirrored, flipped=True)}
            for twin, what in networks
        ),
    ]


def gallery(twins: Twins) -> list[dict[str, Any]]:
    """One generated image per system from both frameworks, and SpecGAN's under the symmetric padding; NHWC arrays.

    The kernels are smooth, so that eyes can follow what the padding moves.
    """
    g = twins.get("generator", smooth=True, dim=16)
    dcgan = twins.get("generator", "dcgan", smooth=True, ngf=16)
    return [
        _images(g, g.exact, {"en": "SpecGAN, float64", "zh": "SpecGAN，float64"}),
        _images(dcgan, dcgan.exact, {"en": "DCGAN, float64", "zh": "DCGAN，float64"}),
        _images(
            g,
            g.direct,
            {
                "en": "SpecGAN with padding=2, output_padding=1 and weights copied directly: not the same image",
                "zh": "SpecGAN，padding=2, output_padding=1，直接复制权重：图像不同",
            },
        ),
    ]


def _images(twin: Twin, module: Any, title: dict[str, str]) -> dict[str, Any]:
    return {"title": title, "reference": twin.result[0], "port": to_numpy(module(to_torch(twin.inputs)))[0]}
