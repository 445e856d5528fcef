"""What the parts of a model file have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Size = Annotated[float, Field(ge=0, le=1e15)]


class Part(BaseModel):
    """A part of a model file: nothing else in it, nothing of another type, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
