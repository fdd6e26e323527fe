"""``parity padding``: its output and exit status, and what happens to a process of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import parity.__main__ as cli
from parity.numerics import reference_ops
from parity.padding import compare_symmetric
from parity.padding.text import picture
from parity.verdict import UnusableInput


def layer(op: str, size: int, kernel: int, stride: int, *torch: int) -> list[str]:
    """The options of one layer; ``torch``: padding, output_padding."""
    values = [("--op", op), ("--size", size), ("--kernel", kernel), ("--stride", stride)]
    values += zip(("--torch-padding", "--output-padding"), torch, strict=False)
    return [str(part) for pair in values for part in pair]


SPECGAN_DOWN = layer("conv", 16, 5, 2)
SPECGAN_UP = layer("conv-transpose", 8, 5, 2)


def parity(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "parity", *arguments], capture_output=True, text=True, timeout=60)


def run(capsys: pytest.CaptureFixture, *arguments: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of a command, in this process."""
    status = cli.run(list(arguments))
    return status, *capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "status", "verdict"),
    [
        (SPECGAN_DOWN, 0, None),
        (layer("conv", 16, 5, 2, 2), 1, "equal in a mirror"),
        (layer("conv", 16, 5, 2, 0), 1, "nothing"),
        (layer("conv", 16, 4, 2, 1), 0, "equal values"),
        ([*layer("conv", 9, 3, 1, 2), "--dilation", "2"], 0, "equal values"),
        (layer("conv", 17, 2, 3, 1), 1, "equal shape only"),
        (layer("conv", 2, 5, 1, 0), 1, "nothing"),
        (SPECGAN_UP, 0, None),
        (layer("conv-transpose", 8, 5, 2, 2, 1), 1, "equal in a mirror"),
        (layer("conv-transpose", 8, 4, 2, 1), 0, "equal values"),
        (layer("conv-transpose", 8, 2, 3, 0, 1), 0, "equal values"),
    ],
)
def test_exit_status_follows_the_verdict(capsys, arguments: list[str], status: int, verdict: str | None) -> None:  # noqa: ANN001
    got, out, err = run(capsys, "padding", *arguments)
    assert (got, err) == (status, "")
    if verdict:
        assert verdict in out
    got, out, err = run(capsys, "padding", *arguments, "--json")
    assert (got, err) == (status, "")
    body = json.loads(out)
    assert body["faithful"] == (status == 0)
    assert body["confirmed_by_probes"] is True
    assert (body["given"] or {}).get("verdict") == verdict


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["padding", *layer("conv", -3, 5, 2)], "size"),
        (["padding", *"--size", "x", *layer("conv", 8, 5, 2)[:2]], "size"),
        (["padding", *layer("pool", 8, 5, 2)], "conv-transpose"),
        (["padding", *layer("conv", 8, 5, 2)[:-2]], "stride"),
        (["padding", *SPECGAN_DOWN, "--torch-padding", "-1"], "torch padding"),
        (["padding", *SPECGAN_DOWN, "--output-padding", "1"], "torch padding"),
        (["padding", *SPECGAN_UP, "--torch-padding", "2", "--output-padding", "2"], "smaller than"),
        (["padding", *SPECGAN_DOWN, "--nonsense"], "nonsense"),
        (["nonsense"], "nonsense"),
    ],
)
def test_unusable_input_is_one_line_and_status_2(capsys, arguments: list[str], message: str) -> None:  # noqa: ANN001
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1 and message in err and err.startswith("parity: ")


def test_the_process_exits_with_the_commands_status() -> None:
    wrong = parity("padding", *SPECGAN_DOWN, "--torch-padding", "2")
    assert (wrong.returncode, wrong.stderr) == (1, "") and "equal in a mirror" in wrong.stdout
    unusable = parity("padding", *SPECGAN_DOWN, "--nonsense")
    assert (unusable.returncode, unusable.stdout) == (2, "") and "Traceback" not in unusable.stderr


def test_no_arguments_explain_themselves() -> None:
    result = parity()
    assert "padding" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_an_interrupted_run_is_one_line_and_status_2(capsys, monkeypatch) -> None:  # noqa: ANN001
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("parity.padding.compare_symmetric", interrupt)
    assert run(capsys, "padding", *SPECGAN_DOWN) == (2, "", "parity: interrupted\n")


def test_unusable_input_from_any_command_is_caught(capsys, monkeypatch) -> None:  # noqa: ANN001
    def refuse(*_: object, **__: object) -> None:
        raise UnusableInput("no such thing")

    monkeypatch.setattr("parity.padding.compare_symmetric", refuse)
    assert run(capsys, "padding", *SPECGAN_DOWN) == (2, "", "parity: no such thing\n")


def test_a_bug_is_not_taken_for_bad_input(monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr("parity.padding.compare_symmetric", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.run(["padding", *SPECGAN_DOWN])


def test_probes_that_contradict_the_calculus_are_reported(capsys, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr("parity.padding.probe", lambda *_: "equal values")
    status, out, _ = run(capsys, "padding", *SPECGAN_DOWN, "--torch-padding", "2")
    assert status == 1 and "CONTRADICTED" in out
    status, out, _ = run(capsys, "padding", *SPECGAN_DOWN, "--torch-padding", "2", "--json")
    assert json.loads(out)["confirmed_by_probes"] is False


@pytest.mark.parametrize("arguments", [SPECGAN_DOWN, SPECGAN_UP])
def test_the_printed_code_is_exact_when_pasted(capsys, arguments: list[str]) -> None:  # noqa: ANN001
    _, out, _ = run(capsys, "padding", *arguments)
    code = "\n".join(re.findall(r"^    (\w+ = .*)$", out, flags=re.M))
    torch.manual_seed(0)
    size = int(arguments[3])
    scope = {"nn": nn, "F": F, "in_channels": 2, "out_channels": 3, "x": torch.randn(1, 2, size, size)}
    exec(code, scope)
    kernel = scope["conv"].weight.detach().permute(2, 3, 1, 0).double().numpy()
    x = scope["x"].permute(0, 2, 3, 1).double().numpy()
    bias = scope["conv"].bias.detach().double().numpy()
    if "transpose" in arguments[1]:
        want = reference_ops.conv_transpose(x, kernel, bias, strides=2, dilation=1, crops=[(1, 2)] * 2)
    else:
        want = reference_ops.conv(x, kernel, bias, strides=2, dilation=1, pads=[(1, 2)] * 2)
    # float32 rounding of 50 products below 4.
    np.testing.assert_allclose(scope["y"].detach().permute(0, 2, 3, 1), want, rtol=0, atol=200 * np.finfo("f").eps)


def test_the_picture_of_a_convolution() -> None:
    assert picture(compare_symmetric("conv", 8, 5, 2, torch_padding=2)) == "\n".join(
        [
            "SAME                        .01234567..",
            "  first window              #####",
            "  last window                     #####",
            "padding=2                  ..01234567.-",
            "  first window             #####",
            "  last window                    #####",
        ]
    )


def test_the_picture_of_a_transposed_convolution() -> None:
    assert picture(compare_symmetric("conv-transpose", 4, 5, 2, torch_padding=2, output_padding=1)) == "\n".join(
        [
            "SAME                       x01234567xx",
            "padding=2 output_padding=1 xx01234567x",
            "  stamp of the first pixel #####",
            "  stamp of the last pixel        #####",
        ]
    )


def test_a_wide_picture_is_cut_in_the_middle_of_every_line() -> None:
    lines = picture(compare_symmetric("conv", 10**9, 5, 2)).splitlines()
    assert max(map(len, lines)) < 120 and "SAME" in lines[0] and " ~ " in lines[0]


def test_it_answers_without_a_framework() -> None:
    code = (
        "import sys; from parity.__main__ import run; run(sys.argv[1:]); "
        "print([m for m in ('tensorflow', 'keras', 'torch', 'rich') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code, "padding", *SPECGAN_DOWN], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]"
