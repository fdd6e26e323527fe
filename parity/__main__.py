"""``parity COMMAND``. Exit status: 0 faithful, 1 not faithful, 2 unusable input (one line on stderr).

A command is a function that returns its exit status and imports what it needs inside, so that no command pays for the
frameworks of another. Raise :class:`parity.verdict.UnusableInput` for anything the caller must mend.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from parity.verdict import UnusableInput

UNUSABLE = 2
INTERRUPTED = 130  # what typer returns for Ctrl-C

app = typer.Typer(
    help="Proves that a PyTorch port of a Keras network is faithful, or says where, by how much and why not.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _commands() -> None:
    """Keeps every command behind its name, even while there is only one."""


@app.command()
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
        import json

        print(json.dumps({"schema": "parity-padding/1", **comparison.to_dict(), "confirmed_by_probes": confirmed}))
    else:
        from parity.padding.text import describe

        print(describe(comparison, confirmed))
    return 0 if comparison.faithful and confirmed is not False else 1


Rungs = Annotated[str | None, typer.Option("--rungs", help="comma-separated; default: all", metavar="R,…")]
Seed = Annotated[int, typer.Option(help="of everything drawn")]
Mirrored = Annotated[bool, typer.Option("--mirrored", help="compare in a mirror (images and kernels flipped)")]
Jobs = Annotated[int | None, typer.Option(help="pairs verified at a time; default: by cores, four at most", min=1)]
JsonFile = Annotated[Path | None, typer.Option("--json", help="also write the verdicts here", metavar="FILE")]


@app.command()
def verify(
    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            help="systems, networks, presets or pairs, with section.key=value overrides", metavar="[PAIR …]"
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="every pair of the registry")] = False,
    mirrored: Mirrored = False,
    rungs: Rungs = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    as_json: JsonFile = None,
    listed: Annotated[bool, typer.Option("--list", help="print the pairs' names and stop")] = False,
) -> int:
    """Verify the project's own pairs, for example: parity verify specgan.generator dcgan.training"""
    from parity.checks.registry import NETWORK, select_rungs
    from parity.systems.registry import registry
    from parity.systems.selection import in_a_mirror, select, with_rungs
    from parity.systems.training.registry import TRAINING

    if listed:
        print("\n".join(pair.name for pair in registry()))
        return 0
    if bool(pairs) == everything:
        raise UnusableInput("name the pairs to verify, or --all (parity verify --list shows them)")
    wanted = select_rungs(rungs, (*NETWORK, *TRAINING))
    selected = registry() if everything else select(pairs or [])
    selected = with_rungs(in_a_mirror(selected) if mirrored else selected, wanted)
    from parity.cli import terminal

    terminal.refuse_unwritable(as_json)
    verdicts = terminal.verify_all(selected, wanted, seed, jobs)
    if as_json:
        terminal.write_json([verdict.to_dict() for verdict in verdicts], as_json)
    terminal.show(verdicts)
    return terminal.status(verdicts)


@app.command()
def compare(
    reference: Annotated[str, typer.Argument(help="the Keras model, as MODULE:FACTORY or FILE.py:FACTORY")],
    port: Annotated[str, typer.Argument(help="the torch module, likewise")],
    shapes: Annotated[
        list[str] | None,
        typer.Option("--input", help="an input's shape, channels last, batch first; repeat it", metavar="N,H,W,C"),
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML or JSON of reference layer: port layer, overruling the matching")
    ] = None,
    mirrored: Mirrored = False,
    rungs: Rungs = None,
    seed: Seed = 0,
    as_json: JsonFile = None,
) -> int:
    """Verify your own pair, for example: parity compare models.py:keras_net models.py:torch_net"""
    from parity.checks.registry import NETWORK, select_rungs

    wanted = select_rungs(rungs, NETWORK)
    from parity.cli import frameworks, terminal
    from parity.cli.compare import compare as compare_pair

    terminal.refuse_unwritable(as_json)
    frameworks.load()
    verdict = compare_pair(reference, port, shapes or [], rungs=wanted, seed=seed, mapping=mapping, mirrored=mirrored)
    if as_json:
        terminal.write_json([verdict.to_dict()], as_json)
    terminal.show([verdict])
    return terminal.status([verdict])


@app.command()
def report(
    pairs: Annotated[
        list[str] | None,
        typer.Argument(help="what to verify, as for parity verify; default: every pair", metavar="[PAIR …]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="the folder to write (default: report); an earlier report is replaced")
    ] = None,
    against: Annotated[
        tuple[str, str] | None,
        typer.Option(help="two presets to compare; without PAIR and --out the comparison is only printed"),
    ] = None,
    seed: Seed = 0,
    jobs: Jobs = None,
) -> int:
    """Verify every pair and write the report: a page, Markdown in two languages, JSON and JUnit XML."""
    from parity.report import refuse_unusable
    from parity.systems.registry import registry
    from parity.systems.selection import select

    if against:
        from parity.systems.preset_comparison import configurations

        configurations(*against)
        if not pairs and out is None:
            return _compared(*against)
    out = out or Path("report")
    refuse_unusable(out)
    selected = select(pairs) if pairs else registry()
    from parity.cli import frameworks, terminal
    from parity.report import write
    from parity.report.collect import collect

    verdicts = terminal.verify_all(selected, None, seed, jobs)
    frameworks.load()
    words = [*(pairs or []), *(["--against", *against] if against else []), *([f"--seed={seed}"] if seed else [])]
    body = collect(verdicts, shlex.join(["parity", "report", *words]), seed)
    if against:
        from parity.systems.preset_comparison import compare as comparison

        body["against"] = comparison(*against)
    paths = write(body, out)
    terminal.show(verdicts)
    print(f"report: {paths[0]}")
    return terminal.status(verdicts)


def _compared(a: str, b: str) -> int:
    """Print what two presets have in common and what differs."""
    from parity.cli import frameworks, terminal
    from parity.systems.preset_comparison import compare as comparison

    frameworks.load()
    terminal.show_against(comparison(a, b))
    return 0


@app.command()
def golden(
    folder: Annotated[Path | None, typer.Argument(help="records to check; default: the project's own")] = None,
) -> int:
    """Check both implementations against records of the original code."""
    from parity.cli import frameworks
    from parity.systems.golden import check, render

    frameworks.load()
    results = check(folder)
    print(render(results))
    return 0 if all(result.passed for result in results) else 1


@app.command()
def convert(
    source: Annotated[
        str,
        typer.Argument(
            help="a run's folder or number, a preset (its latest run) or a checkpoint's folder; or a file of VGG19's "
            "weights: .h5, .keras, .safetensors, .pth or .pt"
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            help="torch or tensorflow: a new run beside the source's; a folder for it instead, or …/step-N for the "
            "checkpoint alone; or a file: .keras, .pt2, .onnx, .safetensors or .pt; of VGG19's weights: .safetensors, "
            ".weights.h5, .pth or .pt"
        ),
    ],
    network: Annotated[
        str | None, typer.Option(help="generator (default; its moving average if there is one) or discriminator")
    ] = None,
    runs: Annotated[Path, typer.Option(help="where runs are kept", metavar="FOLDER")] = Path("runs"),
) -> int:
    """Carry a training state into the other framework, or a network into a file; all is checked before it stays."""
    from parity.cli import frameworks

    frameworks.load()
    from parity.cli.convert import convert as told
    from parity.verdict import NotFaithful
    from shared_impl.config.presets import ConfigError
    from shared_impl.storage.checkpoints import CheckpointError
    from shared_impl.storage.run_folder import RunError

    try:
        for line in told(source, target, network, runs):
            print(line)
    except NotFaithful as error:
        print(f"parity: {error}", file=sys.stderr)
        return 1
    except (CheckpointError, ConfigError, RunError) as error:
        raise UnusableInput(str(error)) from error
    return 0


@app.command()
def selftest() -> int:
    """Break a faithful port in many ways, one at a time, and see every fault caught where it is, and named."""
    from parity.cli import frameworks, terminal

    frameworks.load()
    from parity.systems.mutants import MUTANTS
    from parity.systems.selftest import AnyMutant, trials
    from parity.systems.training import mutants as in_training

    every: list[AnyMutant] = [*MUTANTS, *in_training.MUTANTS]
    with terminal.progress(len(every)) as begin:
        found = list(trials(every, begin))
    terminal.show_trials(found)
    return 0 if all(trial.caught for trial in found) else 1


def run(arguments: Sequence[str]) -> int:
    """One command line's exit status; anything unusable becomes one line on stderr."""
    try:
        status = app(list(arguments) or ["--help"], prog_name="parity", standalone_mode=False)
        if status != INTERRUPTED:
            return status or 0
        problem = "interrupted"
    except (KeyboardInterrupt, typer.Abort):
        problem = "interrupted"
    except UnusableInput as error:
        problem = str(error)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what typer's own usage errors have in common
            raise
        problem = error.format_message()
    print(f"parity: {'; '.join(line.strip() for line in problem.splitlines())}", file=sys.stderr)
    return UNUSABLE


def main() -> None:
    """Entry point of the ``parity`` script."""
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, say head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


if __name__ == "__main__":
    main()
