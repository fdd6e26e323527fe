"""What a report on this project's own pairs shows besides their verdicts: claims, padding study and gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.systems.chains import Twins
    from parity.verdict import Verdict

CLAIMED = "specgan."  # the first document is about this system; a report on other networks alone measures no claims


def exhibits(verdicts: Sequence[Verdict], seed: int = 0) -> dict[str, Any]:
    """The further keys of :func:`parity.report.write`, measured (some 20 s) if SpecGAN is among the verdicts."""
    return _measure(seed) if any(verdict.name.startswith(CLAIMED) for verdict in verdicts) else {}


def _measure(seed: int) -> dict[str, Any]:
    from parity.systems.chains import Twins
    from parity.systems.claims import measure

    twins = Twins(seed)
    return {
        "claims": measure(twins),
        "padding_study": {"measured": padding_copies(twins)},
        "gallery": gallery(twins),
    }


def padding_copies(twins: Twins) -> list[dict[str, Any]]:
    """Relative errors of the symmetric padding, weights copied directly and mirrored: first layers, whole networks."""
    rows = (
        ("discriminator", "downconv_0", {"en": "convolution 5×5, stride 2", "zh": "卷积 5×5，步幅 2"}),
        ("generator", "upconv_0", {"en": "transposed convolution 5×5, stride 2", "zh": "转置卷积 5×5，步幅 2"}),
        ("generator", "", {"en": "the whole SpecGAN generator", "zh": "整个 SpecGAN 生成器"}),
        ("discriminator", "", {"en": "the whole SpecGAN discriminator", "zh": "整个 SpecGAN 判别器"}),
    )
    return [
        {"what": what, **{way: twins[f"specgan {network}"].error(way, layer) for way in ("direct", "mirrored")}}
        for network, layer, what in rows
    ]


def gallery(twins: Twins) -> list[dict[str, Any]]:
    """One generated image per system from both frameworks, and SpecGAN's under the symmetric padding; NHWC arrays.

    The kernels are smooth, so that eyes can follow what the padding moves.
    """
    from parity.systems.chains import run

    specgan, dcgan = "specgan generator smooth=true dim=16", "dcgan generator smooth=true ngf=16"
    direct = {
        "en": "SpecGAN with padding=2, output_padding=1 and weights copied directly: not the same image",
        "zh": "SpecGAN，padding=2, output_padding=1，直接复制权重：图像不同",
    }
    pictures = (
        (twins[specgan], "exact", {"en": "SpecGAN, float64", "zh": "SpecGAN，float64"}),
        (twins[dcgan], "exact", {"en": "DCGAN, float64", "zh": "DCGAN，float64"}),
        (twins[specgan], "direct", direct),
    )
    return [
        {"title": title, "reference": twin.result[0], "port": run(twin.copied(way), twin.inputs)[0]}
        for twin, way, title in pictures
    ]
