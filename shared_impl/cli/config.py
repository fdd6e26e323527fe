"""The command ``config``."""

from __future__ import annotations

from typing import Annotated

import typer
import yaml

from shared_impl.cli.options import Overrides
from shared_impl.config.differences import plain
from shared_impl.config.presets import ConfigError, load, presets


def add_config(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command()
    def config(
        preset: Annotated[
            str | None, typer.Argument(help=f"{', '.join(presets())}; or a YAML file", metavar="[PRESET]")
        ] = None,
        overrides: Overrides = None,
        explain: Annotated[
            str | None, typer.Option(help="print what a field is: type, default, range, meaning", metavar="FIELD")
        ] = None,
    ) -> int:
        """Print a whole configuration as YAML, every default filled in, or what one of its fields is."""
        if preset is None and explain is None:
            raise ConfigError(f"config: name a preset ({', '.join(presets())}), a YAML file, or a field with --explain")
        chosen = None if preset is None else plain(load(preset, overrides or []))
        if explain is None:
            print(yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True), end="")
            return 0
        from shared_impl.config.reference import explain as explained

        print(explained(explain))
        if chosen is not None:
            section, _, name = explain.partition(".")
            print(f"  here:    {yaml.safe_dump(chosen[section].get(name), default_flow_style=True).splitlines()[0]}")
        return 0
