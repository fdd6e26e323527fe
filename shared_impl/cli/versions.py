"""``--version``: of the program and of what it stands on, without importing any of it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

DISTRIBUTION = "parity-bridge"
FRAMEWORKS = ("tensorflow", "keras", "torch", "numpy")


def add_version(app: typer.Typer) -> None:
    """Give the program the option ``--version``."""

    @app.callback()
    def program(
        shown: Annotated[
            bool, typer.Option("--version", callback=_show, is_eager=True, help="print the versions and stop")
        ] = False,
    ) -> None:
        pass

    program.__doc__ = app.info.help


def versions() -> str:
    """The installed versions in one line."""
    stands_on = [f"{name} {_version(name)}" for name in FRAMEWORKS]
    return f"{DISTRIBUTION} {_version(DISTRIBUTION)} ({', '.join(stands_on)}, Python {platform.python_version()})"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _show(wanted: bool) -> None:
    if wanted:
        print(versions())
        raise typer.Exit
