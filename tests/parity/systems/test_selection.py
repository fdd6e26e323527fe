"""What a command line's words select, and what it leaves out is said."""

from __future__ import annotations

from parity.systems.selection import in_a_mirror, select, without_mirror


def test_training_is_left_out_of_a_mirror_with_a_reason() -> None:
    pairs = select(["specgan_tiny", "model.padding=symmetric"])
    kept = {pair.network for pair in in_a_mirror(pairs)}
    line = without_mirror(pairs)
    assert kept == {"generator", "discriminator"}
    assert "specgan_tiny.training:model.padding=symmetric: " in line and "without --mirrored" in line
    assert not without_mirror(select(["specgan_tiny.generator"]))
