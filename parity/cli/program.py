"""All commands of ``parity`` as one program."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from parity.cli.compare import compare
from parity.cli.convert import convert
from parity.cli.extras import missing_extra
from parity.cli.golden import golden
from parity.cli.padding import padding
from parity.cli.report import report
from parity.cli.selftest import selftest
from parity.cli.verify import verify
from parity.verdict import UnusableInput
from shared_impl.cli.outcome import INTERRUPTED, UNUSABLE, complain
from shared_impl.cli.versions import add_version

app = typer.Typer(
    help="Proves that a PyTorch port of a Keras network is faithful, or says where, by how much and why not.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (padding, verify, compare, report, golden, convert, selftest):
    app.command()(command)
add_version(app)


def run(arguments: Sequence[str]) -> int:
    """One command line's exit status; anything unusable becomes one line on stderr."""
    try:
        status = app(list(arguments) or ["--help"], prog_name="parity", standalone_mode=False, obj=list(arguments))
        if status != INTERRUPTED:
            return status or 0
        problem = "interrupted"
    except (KeyboardInterrupt, typer.Abort):
        problem = "interrupted"
    except UnusableInput as error:
        problem = str(error)
    except ModuleNotFoundError as error:
        extra = missing_extra(error)
        if extra is None:
            raise
        problem = f"{error.name} is not installed, which this command needs: pip install 'parity-bridge[{extra}]'"
    except Exception as error:
        if not hasattr(error, "format_message"):  # what typer's own usage errors have in common
            raise
        problem = error.format_message()
    complain("parity", problem)
    return UNUSABLE
