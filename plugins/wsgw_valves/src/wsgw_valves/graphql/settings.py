"""The options of the valve."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import Duration, Options, Size


class GraphqlSettings(Options):
    """The limits of memory, and the times for answers."""

    expires: Duration = Field(
        default=300.0,
        gt=0,
        description="wsgw does not send an acknowledged query or mutation again if it has no result"
        " after this time",
    )
    quiet_after: Duration = Field(
        default=10.0,
        gt=0,
        description="a subscription without a result counts as begun after this time",
    )
    max_operations: int = Field(
        default=1000,
        ge=1,
        description="maximum open operations of a session; above it wsgw closes it with 1008",
    )
    max_remembered_bytes: Size = Field(
        default=1024 * 1024,
        gt=0,
        description="maximum bytes that wsgw remembers for a session: `connection_init` and open"
        " operations; above it wsgw closes the session with 1008",
    )
    max_size: Size = Field(
        default=1024 * 1024,
        gt=0,
        description="wsgw passes larger messages without parsing them, unless `id` and `type` are"
        " their first members",
    )
