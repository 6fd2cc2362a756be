"""What can be configured for the valve."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wsgw_core.api import Options


class MaskSettings(Options):
    """What is left of a number, and in which messages."""

    keep: int = Field(default=4, ge=0, le=10, description="digits at the end that stay")
    mark: str = Field(
        default="*", min_length=1, max_length=1, description="stands for each other digit"
    )
    directions: Literal["both", "to-backend", "to-client"] = Field(
        default="both", description="whose messages are looked at"
    )
