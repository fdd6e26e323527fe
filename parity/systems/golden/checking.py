"""Judging a folder of golden records. A new kind of record is a module here and a row in ``JUDGES`` and ``RECORDS``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from parity.systems.golden import dcgan_training, specgan_forward, specgan_spectrogram, specgan_training
from parity.systems.golden.records import RECORDS, Record, read_folder, unknown_files
from parity.systems.golden.results import GoldenResult, not_judged
from parity.systems.training.implementations import one_thread
from parity.verdict import UnusableInput

JUDGES: dict[str, Callable[[Record], list[GoldenResult]]] = {
    "specgan_forward": specgan_forward.judge_record,
    "specgan_training": specgan_training.judge_record,
    "specgan_spectrogram": specgan_spectrogram.judge_record,
    "dcgan_training": dcgan_training.judge_record,
}


@one_thread()
def check_folder(folder: Path) -> list[GoldenResult]:
    """A result for every recorded array and framework, and one for whatever is not judged.

    Raises UnusableInput where a file is damaged, and where nothing could be judged.
    """
    records = read_folder(folder)
    results: list[GoldenResult] = []
    for name in RECORDS:
        if name in records:
            results += JUDGES[name](records[name])
        else:
            results.append(not_judged((name, "", ""), f"not in {folder}"))
    results += [not_judged((file, "", ""), f"a file of no known record, in {folder}") for file in unknown_files(folder)]
    if not any(result.judged for result in results):
        reasons = [result.message for result in results if result.record in records]
        raise UnusableInput(f"{folder}: nothing in it can be judged: {'; '.join(reasons)}")
    return results
