"""Faults of data, each one line that says where, what was found and what to do."""

from __future__ import annotations


class DataError(ValueError):
    """Data that cannot be used at all: a missing folder, nothing usable, fewer examples than one batch."""


class BrokenFile(DataError):
    """One file or record that cannot be used. ``place`` names it, ``reason`` says why."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(place, reason)
        self.place, self.reason = place, reason

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"
