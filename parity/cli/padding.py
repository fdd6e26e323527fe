"""``parity padding``: the torch padding of one convolution that computes what TensorFlow's SAME computes."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def padding(
    op: Annotated[str, typer.Option(help="conv or conv-transpose")],
    size: Annotated[int, typer.Option(help="input pixels along the axis")],
    kernel: Annotated[int, typer.Option(help="kernel taps along the axis")],
    stride: Annotated[int, typer.Option()],
    dilation: Annotated[int, typer.Option()] = 1,
    torch_padding: Annotated[int | None, typer.Option(help="judge this symmetric padding only")] = None,
    output_padding: Annotated[int | None, typer.Option(help="torch's output_padding, for conv-transpose")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> int:
    """Which torch padding computes what TensorFlow's SAME computes, and the exact recipe where none does."""
    from parity.padding import compare_symmetric, confirm

    comparison = compare_symmetric(op, size, kernel, stride, dilation, torch_padding, output_padding)
    confirmed = confirm(comparison)
    if as_json:
        print(json.dumps({"schema": "parity-padding/1", **comparison.to_dict(), "confirmed_by_probes": confirmed}))
    else:
        from parity.padding.text import describe

        print(describe(comparison, confirmed))
    return 0 if comparison.faithful and confirmed is not False else 1
