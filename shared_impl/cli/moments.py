"""The command ``moments``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared_impl.cli.framework import LoadFramework
from shared_impl.cli.options import Overrides, Preset
from shared_impl.config.presets import ConfigError, load
from shared_impl.data import source_moments
from shared_impl.data.moments import save
from shared_impl.data.sources import open_source


def add_moments(app: typer.Typer, load_framework: LoadFramework) -> None:
    """Add the command to ``app``."""

    @app.command()
    def moments(
        preset: Preset,
        overrides: Overrides = None,
        out: Annotated[Path, typer.Option(help="the file to write", metavar="FILE")] = Path("moments.npz"),
        shard: Annotated[str, typer.Option(help="measure the I-th of N parts only, I from 0", metavar="I/N")] = "0/1",
        merge: Annotated[list[Path] | None, typer.Option(help="merge shards' files instead; repeat it")] = None,
    ) -> int:
        """Measure mean and deviation per frequency bin of a data set; use the file as data.moments=FILE."""
        config = load(preset, overrides or [])
        if config.model.medium != "audio":
            raise ConfigError(f"{preset}: {config.model.system} learns from images; moments are of spectrograms")
        part, of = _parse_shard(shard)
        source = open_source(config.data, config.model)
        if merge:
            found = source_moments.merge_shards(source, config, merge)
        else:
            found = source_moments.measure(source, config, load_framework().log_magnitude, part, of)
        save(found, out)
        print(f"{out}: {found.count:,} frames of {source}")
        return 0


def _parse_shard(text: str) -> tuple[int, int]:
    part, slash, of = text.partition("/")
    if not slash or not part.isdecimal() or not of.isdecimal() or int(part) >= int(of):
        raise ConfigError(f"--shard {text!r}: expected I/N with I from 0 to N - 1, such as 0/4")
    return int(part), int(of)
