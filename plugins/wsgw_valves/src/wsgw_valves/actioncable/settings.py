"""The options of the valve."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import Duration, Options, Size


class ActioncableSettings(Options):
    """The limit of memory, and the time for answers."""

    expires: Duration = Field(
        default=60.0,
        gt=0,
        description="wsgw does not send an acknowledged `subscribe` again if it has no answer after"
        " this time",
    )
    max_remembered_bytes: Size = Field(
        default=256 * 1024,
        gt=0,
        description="maximum bytes that wsgw remembers for a session: its subscriptions, each with"
        " 200 bytes besides its message; above it wsgw closes the session with 1008",
    )
    max_size: Size = Field(
        default=64 * 1024, gt=0, description="wsgw passes larger messages without parsing them"
    )
