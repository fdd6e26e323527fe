"""``parity COMMAND``. Exit status: 0 faithful, 1 not faithful, 2 unusable input (one line on stderr), 70
an internal error (one line that says where its details are).

The commands are in :mod:`parity.cli`, one a file; here they become one program.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
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
from parity.verdict import UnusableInput, first_line

UNUSABLE = 2
INTERNAL = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 130  # what typer returns for Ctrl-C

app = typer.Typer(
    help="Proves that a PyTorch port of a Keras network is faithful, or says where, by how much and why not.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (padding, verify, compare, report, golden, convert, selftest):
    app.command()(command)


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
    print(f"parity: {'; '.join(line.strip() for line in problem.splitlines())}", file=sys.stderr)
    return UNUSABLE


def _internal(error: Exception) -> int:
    """One line about an error of parity's own, with the file that holds its details."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="parity-error-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write("".join(traceback.format_exception(error)))
    print(f"parity: internal error: {first_line(error)}; details: {file.name}", file=sys.stderr)
    return INTERNAL


def main() -> None:
    """Entry point of the ``parity`` script."""
    try:
        status = run(sys.argv[1:])
    except Exception as error:
        status = _internal(error)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, say head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


if __name__ == "__main__":
    main()
