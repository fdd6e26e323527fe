"""``parity compare``: a user's own pair, named as ``MODULE:FACTORY`` or ``FILE.py:FACTORY``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from parity.cli.options import Device, JsonFile, Mirrored, OwnWeights, Rungs, Scope, Seed, Timeout
from parity.verdict import UnusableInput, Verdict, first_line


def compare(
    context: typer.Context,
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
    scope: Scope = "training",
    own_weights: OwnWeights = False,
    device: Device = "cpu",
    timeout: Timeout = None,
    report: Annotated[
        Path | None, typer.Option(help="also write the report (a page, Markdown, JSON, JUnit) here", metavar="DIR")
    ] = None,
    as_json: JsonFile = None,
) -> int:
    """Verify your own pair, for example: parity compare models.py:keras_net models.py:torch_net"""
    from parity.checks.registry import rungs_of, select_rungs
    from parity.cli import deadline, terminal
    from parity.cli.json_file import validate_target, write_json
    from parity.systems import frameworks

    if timeout is not None and not deadline.watched():
        return deadline.run_within(timeout, context.obj)
    wanted = select_rungs(rungs, rungs_of(scope))
    validate_target(as_json)
    if report is not None:
        from parity.report import validate_folder

        validate_folder(report)
    names = read_mapping(mapping)
    frameworks.load()
    verdict = verify_models(
        reference, port, shapes or [], rungs=wanted, seed=seed, mapping=names, mirrored=mirrored, scope=scope,
        copy_weights=not own_weights, device=device,
    )  # fmt: skip
    if as_json:
        write_json([verdict.to_dict()], as_json)
    if report is not None:
        _write_report(verdict, context.obj, seed, report)
    terminal.show([verdict])
    return terminal.status([verdict])


def _write_report(verdict: Verdict, arguments: Sequence[str], seed: int, folder: Path) -> None:
    from parity.report import write
    from parity.report.collect import collect

    write(collect([verdict], shlex.join(["parity", *arguments]), seed), folder)


def verify_models(reference: str, port: str, shapes: Sequence[str], *, seed: int, **options: Any) -> Verdict:
    """Build both models and verify them on inputs of ``shapes``, or of the reference's input shape if there are none.

    ``options`` are those of :func:`parity.verify`.

    Raises:
        UnusableInput: a factory that cannot be found or fails, a shape that cannot be read, or an unusable pair.
    """
    from parity.cli.models import build, draw_input, make, working_folder_first
    from parity.verification import verify

    inputs = [draw_input(shape, seed + place) for place, shape in enumerate(shapes)] or None
    with working_folder_first():
        keras_model, torch_model = make(reference, seed), make(port, seed)
        if inputs is not None:
            build(keras_model, inputs)
        return verify(keras_model, torch_model, inputs, seed=seed, name=f"{reference} / {port}", **options)


def read_mapping(path: Path | None) -> dict[str, str] | None:
    """A YAML or JSON file of ``reference layer: port layer``.

    Raises:
        UnusableInput: it cannot be read, or holds something else.
    """
    if path is None:
        return None
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnusableInput(f"--mapping {path}: cannot be read as YAML or JSON: {first_line(error)}") from error
    if not isinstance(content, dict) or not all(isinstance(item, str) for pair in content.items() for item in pair):
        raise UnusableInput(f"--mapping {path}: expected lines 'reference layer: port layer'")
    return content
