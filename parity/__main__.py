"""``parity COMMAND``. Exit status: 0 faithful, 1 not faithful, 2 unusable input (one line on stderr), 70
an internal error (one line that says where its details are).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from shared_impl.cli.outcome import ended_by_ctrl_c, enter


def run(arguments: Sequence[str]) -> int:
    """One command line's exit status; anything unusable becomes one line on stderr."""
    with ended_by_ctrl_c():
        from parity.cli import program
    return program.run(arguments)


def main() -> NoReturn:
    """Entry point of the ``parity`` script."""
    enter("parity", run, sys.argv[1:])


if __name__ == "__main__":
    main()
