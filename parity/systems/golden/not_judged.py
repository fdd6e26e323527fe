"""What a reader does not know in a record: settings and quantities that are listed as not judged. Plain NumPy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from typing import TypeVar

from parity.systems.golden.records import Record, UnknownOption
from parity.systems.golden.results import GoldenResult, not_judged
from shared_impl.config.section import Section

SettingT = TypeVar("SettingT", bound=Section)


def known_settings(record: Record, schema: type[SettingT]) -> tuple[dict[str, SettingT], list[GoldenResult]]:
    """The settings that ``schema`` describes, and results for those that it does not and for arrays of no setting.

    Raises UnusableInput where a setting is damaged: an option is missing or its value cannot be right.
    """
    known: dict[str, SettingT] = {}
    results: list[GoldenResult] = []
    for name, options in record.settings.items():
        where = (record.name, name, "")
        if not isinstance(options, dict) and not any(key.startswith(f"{name}/") for key in record.keys):
            reason = f"not a setting: expected an object, got {type(options).__name__}"
            results.append(not_judged(where, reason))
            continue
        try:
            known[name] = record.setting(schema, options, name)
        except UnknownOption as error:
            results.append(not_judged(where, str(error)))
    prefixes = tuple(f"{name}/" for name in record.settings)
    unknown = Counter(key.split("/", 1)[0] for key in record.keys if not key.startswith(prefixes))
    for name, count in unknown.items():
        arrays = "1 array belongs" if count == 1 else f"{count} arrays belong"
        results.append(not_judged((record.name, name, ""), f"{arrays} to no setting of {record.name}.json"))
    return known, results


def unknown_quantities(record: Record, setting: str, keys: Iterable[str], known: Container[str]) -> list[GoldenResult]:
    """A result for each of a setting's ``keys`` that is not among the ``known`` ones."""
    reason = "no quantity that these settings have"
    return [not_judged((record.name, setting, key), reason) for key in sorted(keys) if key not in known]
