"""Configurations: the presets in configs/, dotted overrides, and one-line errors.

``load("specgan", ["model.dim=8"])`` reads configs/specgan.yaml and changes one value. Every fault raises a
:class:`ConfigError` of one line that names the field, the value it has and the valid ones.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared_impl.config.schema import Config
from shared_impl.config.section import Section
from shared_impl.config.strict_yaml import YamlError, parse
from shared_impl.config.systems import SYSTEMS

_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = _PACKAGE / "presets"  # setup.py installs configs/ there; in a checkout it lies beside the package
PRESETS = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "configs"


# Fields of which a configuration holds only one: overriding one removes the other.
EXCLUSIVE = {"training.steps": ("epochs",), "training.epochs": ("steps",)}


LONGEST = 1_000_000  # bytes of a YAML file


class ConfigError(ValueError):
    """A configuration, preset, override or constructor option that cannot be used."""


SectionT = TypeVar("SectionT", bound=Section)


def presets() -> list[str]:
    """The names of the presets in configs/."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load(preset: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a preset by name, or a YAML file by path, and apply ``section.key=value`` overrides.

    Raises ConfigError for an unknown preset, an unreadable file, an unknown field and a value of the wrong type.
    """
    path = _locate(preset)
    content = _read(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected sections ({', '.join(Config.model_fields)}), got {type(content).__name__}")
    given: set[str] = set()
    for override in overrides:
        _override(content, override, given)
    return checked(Config, content, where=str(preset))


def checked(section: type[SectionT], options: Mapping[str, Any], where: str) -> SectionT:
    """``section`` filled with ``options``; ConfigError, starting with ``where``, if they do not fit its schema."""
    try:
        return section.model_validate(dict(options))
    except ValidationError as error:
        faults = "; ".join(_explain(section, fault) for fault in error.errors())
        raise ConfigError(f"{where}: {faults}") from error


def options_for(constructor: Callable[..., Any], section: Section) -> dict[str, Any]:
    """The fields of ``section`` that ``constructor`` takes, as keyword arguments."""
    accepted = inspect.signature(constructor).parameters
    return {name: value for name, value in section if name in accepted}


def select(table: Mapping[str, Any], key: str, what: str) -> Any:
    """``table[key]``; ConfigError with the valid keys otherwise."""
    if key not in table:
        raise nearest_error(key, table, what)
    return table[key]


def nearest_error(key: str, table: Iterable[str], what: str) -> ConfigError:
    """The error about a key that ``table`` does not have."""
    return ConfigError(f"unknown {what} {key!r}{_nearest(key, table)}; valid: {', '.join(table)}")


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST + 1)
        if len(text) > LONGEST:
            raise ConfigError(f"{path}: longer than {LONGEST:,} bytes: no configuration is")
        return parse(text.decode("utf-8"))
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: cannot be read as YAML: {_one_line(error)}") from error


def _locate(preset: str | Path) -> Path:
    path = Path(preset)
    if isinstance(preset, Path) or path.suffix in (".yaml", ".yml") or len(path.parts) != 1:
        return path
    return select({name: PRESETS / f"{name}.yaml" for name in presets()}, str(preset), "preset")


def _override(content: dict[str, Any], override: str, given: set[str]) -> None:
    """Apply ``section.key=value`` to ``content``; ``given`` are the names of those before it."""
    name, equals, text = override.partition("=")
    *sections, field = name.strip().split(".")
    if not equals or not sections or not all([*sections, field]):
        raise ConfigError(f"override {override!r}: expected section.key=value, for example model.dim=8")
    if not text.strip():
        raise ConfigError(f'override {override!r}: no value: write {name}=null for none, or {name}="" for empty text')
    try:
        value = parse(text)
    except YamlError as error:
        raise ConfigError(f"override {override!r}: the value cannot be read: {error}") from error
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ConfigError(f"override {override!r}: {section} is a value, not a section")
    for other in EXCLUSIVE.get(name.strip(), ()):
        if ".".join([*sections, other]) in given:
            raise ConfigError(f"override {override!r}: {'.'.join([*sections, other])} is given, too: give one of them")
        content.pop(other, None)
    given.add(name.strip())
    content[field] = value


def _explain(section: type[Section], fault: ErrorDetails) -> str:
    """One of pydantic's errors as a sentence: the dotted field, its value, what is valid."""
    location = [str(part) for part in fault["loc"]]
    fields = _fields(section, location[:-1])
    place = ".".join(part for part in location if part not in SYSTEMS)
    kind, got = fault["type"], fault["input"]
    if kind == "extra_forbidden":
        return f"unknown field {place}{_nearest(location[-1], fields)}; valid: {', '.join(fields)}"
    if kind == "value_error":
        return ": ".join([place] * bool(place) + [fault["msg"].removeprefix("Value error, ")])
    if kind == "missing":
        return f"{place} is missing"
    if kind.startswith("union_tag"):
        got = fault.get("ctx", {}).get("tag")
        found = f"{place}.system is {got!r}{_nearest(got, SYSTEMS)}" if got else f"{place}.system is missing"
        return f"{found}; valid: {', '.join(SYSTEMS)}"
    if kind == "literal_error":
        valid = fault["ctx"]["expected"]
        names = re.findall("'(.*?)'", valid)
        return f"{place} is {got!r}{_nearest(got, names)}; valid: {valid}"
    return f"{place} is {got!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _fields(section: type[Section], location: list[str]) -> Mapping[str, Any]:
    """The fields that are valid at a place, given as a path through the sections of ``section``."""
    for part in location:
        inner = SYSTEMS.get(part) or (section.model_fields[part].annotation if part in section.model_fields else None)
        if isinstance(inner, type) and issubclass(inner, Section):
            section = inner
    return section.model_fields


def _nearest(name: object, valid: Iterable[str]) -> str:
    close = get_close_matches(str(name), list(valid), n=1)
    return f", did you mean {close[0]}?" if close else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
