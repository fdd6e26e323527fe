"""The original port's padding=2, output_padding=1: equal shapes, other values, and exact in a mirror."""

from __future__ import annotations

import pytest

from parity.systems import frameworks
from parity.systems.network_pair import NETWORKS
from parity.systems.selection import select
from parity.verdict import Verdict

# A shift by one pixel moves every value by about its own size; rounding, by 1e-15 of it.
GROSS = 0.1

pytestmark = pytest.mark.slow


def verdict(network: str, kernel_len: int, mirrored: bool) -> Verdict:
    (pair,) = select([f"specgan_tiny.{network}", "model.padding=symmetric", f"model.kernel_len={kernel_len}"])
    frameworks.load()
    return (pair.in_a_mirror() if mirrored else pair).verify(rungs=["shapes", "padding", "forward"])


@pytest.mark.parametrize("kernel_len", [3, 5, 7])
@pytest.mark.parametrize("network", NETWORKS)
def test_direct_copy_keeps_shapes_and_breaks_values(network: str, kernel_len: int) -> None:
    found = verdict(network, kernel_len, mirrored=False)
    assert found.rungs["shapes"].judgement == "pass"
    assert found.rungs["padding"].judgement == found.rungs["forward"].judgement == "fail"
    shifted = [row for row in found.layers if row.kind in ("conv", "conv-transpose")]
    assert len(shifted) == 5
    for row in shifted:
        assert row.isolated > GROSS, f"{row.layer}: {row.isolated}"
        before, after = row.reference_padding[0]
        expected = [before + 1, after - 1]
        assert row.padding == [expected, expected], f"{row.layer}: {row.reference_padding} {row.padding}"
    named = [layer for finding in found.findings if finding.kind == "padding-alignment" for layer in finding.layers]
    assert sorted(named) == sorted(row.layer for row in shifted)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_mirrored_copy_is_exact(network: str) -> None:
    found = verdict(network, 5, mirrored=True)
    assert found.passed, found.to_text()
    assert max(row.isolated for row in found.layers if row.isolated is not None) < 1e-13
