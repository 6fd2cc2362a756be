"""The options of the valve."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wsgw_core.api import Options


class MaskSettings(Options):
    """The options: what stays of a number, and in which messages."""

    keep: int = Field(default=4, ge=0, le=10, description="digits at the end that stay")
    mark: str = Field(
        default="*", min_length=1, max_length=1, description="replaces each other digit"
    )
    directions: Literal["both", "to-backend", "to-client"] = Field(
        default="both", description="direction of the messages to mask"
    )
