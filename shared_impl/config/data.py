"""The section ``data``: where examples come from, how they are cut to size, and how they are changed at random."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from shared_impl.config.network import Medium
from shared_impl.config.section import Count, Index, NotNegative, Section, Share

# The first word of data.source, and the form of the whole value.
SOURCES = {
    "digits": "digits",
    "drums": "drums[:FOLDER]",
    "images": "images:FOLDER",
    "audio": "audio:FOLDER",
    "csv": "csv:FILE",
    "tfds": "tfds:NAME",
}
BUILT_IN = ("digits", "drums")  # need no place
# What a source holds; csv and tfds may hold either.
MEDIUM_OF: dict[str, Medium] = {"digits": "image", "images": "image", "drums": "audio", "audio": "audio"}


class DataConfig(Section):
    """Where examples come from and how they are cut to size; audio fields concern audio systems only."""

    source: str = "digits"  # digits, drums[:FOLDER], images:FOLDER, audio:FOLDER, csv:FILE or tfds:NAME
    strict: bool = False  # a broken file ends the run instead of being counted
    workers: Index = 0  # decoding processes; 0: threads of this one
    prefetch: Count = 4  # batches prepared ahead
    resize: Literal["bilinear", "bicubic", "lanczos", "box"] = "bilinear"
    sample_rate: Count = 16000
    overlap: Share = 0.0  # of consecutive slices
    first_slice: bool = False  # only the first slice of each file, zero-padded
    pad_end: bool = False  # zero-pad the last slice instead of dropping it
    random_offset: bool = True  # start each file at U{0 ... 16383}
    moments: str | None = None  # .npz of the moments command; None: measured before training
    label_columns: list[str] = []  # of a csv; empty: the first after the path
    balance: bool = False  # every class is shown as often as the largest one
    # What every image shown is changed by at random, each time it is shown
    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    rotate: NotNegative = 0.0  # by up to so many degrees either way; what turns in from outside repeats the edge
    jitter: Share = 0.0  # brightness, contrast and saturation times 1 +- this

    @property
    def augments(self) -> bool:
        """Whether images are changed at all."""
        return self.flip != "none" or self.rotate > 0 or self.jitter > 0

    @model_validator(mode="after")
    def _is_a_source(self) -> Self:
        word, colon, place = self.source.partition(":")
        if word not in SOURCES or bool(colon) != bool(place) or (place and word == "digits"):
            raise ValueError(f"source is {self.source!r}; valid: {', '.join(SOURCES.values())}")
        if not place and word not in BUILT_IN:
            raise ValueError(f"source is {self.source!r}: it needs a place, as in {SOURCES[word]}")
        return self
