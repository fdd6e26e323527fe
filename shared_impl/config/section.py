"""What every part of a configuration is made of: the base of its sections, and the kinds of its numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=False)]  # YAML's 1 is meant as 1.0
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=False)]
Share = Annotated[float, Field(ge=0, lt=1, strict=False)]


class Section(BaseModel):
    """A part of a configuration: immutable, no unknown fields, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
