"""The reference of every field of a configuration, out of its schema: type, range, default, systems, meaning.

``python -m shared_impl.config.reference`` prints docs/configuration.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from shared_impl.config.descriptions import DESCRIPTIONS
from shared_impl.config.presets import nearest_error
from shared_impl.config.recipes import OPTIMIZERS, RECIPES, RECOMMENDED
from shared_impl.config.schema import Config
from shared_impl.config.section import LARGEST
from shared_impl.config.systems import SYSTEMS

HEADING = """# Configuration

Every field of a configuration, as `python -m shared_impl.config.reference` prints it: a test holds this page against
the schema. The same, one field at a time: `python -m torch_impl config --explain training.ema`; a preset with every
default filled in: `python -m torch_impl config dcgan_digits`.

A configuration is a YAML file of sections, of which only `model` must be given: `train`, `moments`, `parity verify`
and `parity report` take its path instead of a preset's name, and all take `section.key=value` overrides. Numbers may
be written as `1e3`, nothing as `null`. What is left out follows the system's original (*by system*) or goes with the
loss (*by loss*), see `shared_impl/config/recipes.py`.
"""
TYPES: dict[Any, str] = {bool: "true or false", int: "whole number", float: "number", str: "text"}
BOUNDS = {"ge": "{} or more", "gt": "more than {}", "le": "{} at most", "lt": "less than {}"}


class Entry(NamedTuple):
    """One field as the reference has it, all in words; ``systems`` are those that have it, empty if all do."""

    name: str
    type: str
    default: str
    systems: tuple[str, ...]
    meaning: str

    def text(self) -> str:
        """Several lines for a terminal."""
        words = {"type": self.type, "default": self.default, "systems": ", ".join(self.systems) or "all"}
        facts = [f"{name + ':':<9}{value}" for name, value in words.items() if value]
        return "\n".join([self.name, f"  {_plain(self.meaning)}", *(f"  {_plain(fact)}" for fact in facts)])


def entries() -> Iterator[Entry]:
    """Every field, section by section; of ``model``, the fields of all systems."""
    for section, holder in Config.model_fields.items():
        if section == "model":
            yield from _of_model()
            continue
        for name, field in holder.annotation.model_fields.items():  # type: ignore[union-attr]
            place = f"{section}.{name}"
            yield Entry(place, _type(field), _recommended(place, field) or _default(field), (), DESCRIPTIONS[place])


def explain(name: str) -> str:
    """The entry of a field as text. Raises ConfigError that names the nearest one there is."""
    known = {entry.name: entry for entry in entries()}
    if name not in known:
        section = name.partition(".")[0]
        raise nearest_error(name, [one for one in known if one.partition(".")[0] == section] or known, "field")
    return known[name].text()


def page() -> str:
    """docs/configuration.md."""
    sections: dict[str, list[Entry]] = {}
    for entry in entries():
        sections.setdefault(entry.name.partition(".")[0], []).append(entry)
    return HEADING + "".join(f"\n## {name}\n\n{_table(rows)}" for name, rows in sections.items())


def _table(rows: list[Entry]) -> str:
    columns = ("field", "type", "default", *(["systems"] if any(row.systems for row in rows) else []), "meaning")
    lines = [list(columns), ["---"] * len(columns)]
    for row in rows:
        systems = ", ".join(f"`{name}`" for name in row.systems) or "all"
        cells = {"field": f"`{row.name}`", "type": row.type, "default": row.default, "systems": systems}
        lines.append([{**cells, "meaning": row.meaning}[column] for column in columns])
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _of_model() -> Iterator[Entry]:
    names = dict.fromkeys(name for system in SYSTEMS.values() for name in system.model_fields)
    for name in names:
        having = {key: system.model_fields[name] for key, system in SYSTEMS.items() if name in system.model_fields}
        place = f"model.{name}"
        if name == "system":
            yield Entry(place, _choice(list(SYSTEMS)), "must be given", (), DESCRIPTIONS[place])
            continue
        kinds, defaults = _grouped(having, _type), _grouped(having, _default)
        systems = () if len(having) == len(SYSTEMS) else tuple(having)
        yield Entry(place, kinds, defaults, systems, DESCRIPTIONS[place])


def _grouped(fields: Mapping[str, FieldInfo], describe: Any) -> str:
    """One description, or each with its systems where they differ."""
    found: dict[str, list[str]] = {}
    for system, field in fields.items():
        found.setdefault(describe(field), []).append(f"`{system}`")
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{text} ({', '.join(systems)})" for text, systems in found.items())


def _type(field: FieldInfo) -> str:
    return _words(field.annotation, list(field.metadata))


def _words(kind: Any, bounds: list[Any]) -> str:
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        return _words(inner, [*bounds, *(part for one in more for part in getattr(one, "metadata", [one]))])
    if get_origin(kind) is Literal:
        return _choice(list(get_args(kind)))
    members = get_args(kind)
    if type(None) in members:
        return f"{_words(Union[*(one for one in members if one is not type(None))], bounds)}, or `null`"
    if get_origin(kind) in (tuple, list):
        return f"list: each {_words(members[0], bounds)}"
    ends = {name: getattr(bound, name) for bound in bounds for name in BOUNDS if getattr(bound, name, None) is not None}
    limits = [BOUNDS[name].format(f"{end:g}") for name, end in ends.items() if end != LARGEST]
    return ", ".join([TYPES.get(kind, str(kind)), *limits])


def _choice(values: list[Any]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _default(field: FieldInfo) -> str:
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{yaml.safe_dump(value).splitlines()[0]}`"


def _recommended(place: str, field: FieldInfo) -> str:
    """A default that is not the schema's alone."""
    section, _, name = place.partition(".")
    if place == "training.epochs":
        return "`100`, unless `steps` is given"
    by_system = {system: recipe[section][name] for system, recipe in RECIPES.items() if name in recipe.get(section, {})}
    if by_system:
        return f"by system: {_listed(by_system, len(SYSTEMS), field)}"
    tables = (RECOMMENDED, OPTIMIZERS) if section == "optimizer" else ()
    by_loss = {key: row[name] for table in reversed(tables) for key, row in table.items() if name in row}
    return f"by loss: {_listed(by_loss, len(by_loss), field)}" if by_loss else ""


def _listed(values: Mapping[str, Any], whole: int, field: FieldInfo) -> str:
    """The values, each with the systems or losses that have it; what is left has the schema's default."""
    found: dict[str, list[str]] = {}
    for key, value in values.items():
        found.setdefault(yaml.safe_dump(value).splitlines()[0], []).append(f"`{key}`")
    if len(found) == 1 and len(values) == whole:
        return f"`{next(iter(found))}`"
    rest = [] if len(values) == whole or field.is_required() else [f"else {_default(field)}"]
    return "; ".join([*(f"`{value}` ({', '.join(keys)})" for value, keys in found.items()), *rest])


def _plain(text: str) -> str:
    return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", text).replace("`", "")


if __name__ == "__main__":
    print(page(), end="")
