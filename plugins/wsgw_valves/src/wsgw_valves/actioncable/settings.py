"""What can be configured for the valve."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import Duration, Options, Size


class ActioncableSettings(Options):
    """What is remembered, and what is waited for."""

    expires: Duration = Field(
        default=60.0,
        gt=0,
        description="an acknowledged `subscribe` that has no answer after this time is not sent"
        " again",
    )
    max_remembered_bytes: Size = Field(
        default=256 * 1024,
        gt=0,
        description="what is remembered of a session: its subscriptions, each with 200 bytes beside"
        " its message; more ends it with 1008",
    )
    max_size: Size = Field(
        default=64 * 1024, gt=0, description="a larger message is not read, and passes"
    )
