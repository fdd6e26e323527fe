"""What every section of a configuration is made of: its base class, and the kinds of its numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

LARGEST = 2**31 - 1

Count = Annotated[int, Field(ge=1, le=LARGEST)]
Index = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=False)]  # YAML's 1 is meant as 1.0
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=False)]
Share = Annotated[float, Field(ge=0, lt=1, strict=False)]
Sizes = Annotated[  # YAML has lists only, and a single size needs no brackets
    tuple[Count, ...], BeforeValidator(lambda value: (value,) if isinstance(value, int) else value), Field(strict=False)
]


class Section(BaseModel):
    """A part of a configuration: immutable, no unknown fields, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
