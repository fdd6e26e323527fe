"""``parity compare``: a user's own pair, named as ``MODULE:FACTORY`` or ``FILE.py:FACTORY``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from parity.cli.options import JsonFile, Mirrored, OwnWeights, Rungs, Seed
from parity.verdict import UnusableInput, Verdict, first_line


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
    own_weights: OwnWeights = False,
    rungs: Rungs = None,
    seed: Seed = 0,
    as_json: JsonFile = None,
) -> int:
    """Verify your own pair, for example: parity compare models.py:keras_net models.py:torch_net"""
    from parity.checks.registry import select_rungs
    from parity.cli import terminal
    from parity.cli.json_file import validate_target, write_json
    from parity.systems import frameworks

    wanted = select_rungs(rungs)
    validate_target(as_json)
    frameworks.load()
    verdict = verify_models(
        reference,
        port,
        shapes or [],
        rungs=wanted,
        seed=seed,
        mapping=read_mapping(mapping),
        mirrored=mirrored,
        copy_weights=not own_weights,
    )
    if as_json:
        write_json([verdict.to_dict()], as_json)
    terminal.show([verdict])
    return terminal.status([verdict])


def verify_models(
    reference: str,
    port: str,
    shapes: Sequence[str],
    *,
    rungs: Sequence[str] | None,
    seed: int,
    mapping: dict[str, str] | None,
    mirrored: bool,
    copy_weights: bool = True,
) -> Verdict:
    """Build both models and verify them on inputs of ``shapes``, or of the reference's input shape if there are none.

    Raises:
        UnusableInput: a factory that cannot be found or fails, a shape that cannot be read, or an unusable pair.
    """
    from parity.cli.models import build, draw_input, make, working_folder_first
    from parity.verification import verify

    inputs = [draw_input(shape, seed + place) for place, shape in enumerate(shapes)] or None
    with working_folder_first():
        keras_model, torch_model = make(reference), make(port)
        if inputs is not None:
            build(keras_model, inputs)
        return verify(
            keras_model,
            torch_model,
            inputs,
            rungs=rungs,
            seed=seed,
            mapping=mapping,
            mirrored=mirrored,
            copy_weights=copy_weights,
            name=f"{reference} / {port}",
        )


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
