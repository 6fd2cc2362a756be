"""What can be configured for the valve."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import Duration, Options, Size


class GraphqlSettings(Options):
    """What is remembered, and for how long answers are waited for."""

    expires: Duration = Field(
        default=300.0,
        gt=0,
        description="an acknowledged query or mutation that has no result after this time is not"
        " sent again",
    )
    quiet_after: Duration = Field(
        default=10.0,
        gt=0,
        description="a subscription without a result has begun after this time, and is quiet",
    )
    max_operations: int = Field(
        default=1000,
        ge=1,
        description="open operations of a session; one more ends it with 1008",
    )
    max_remembered_bytes: Size = Field(
        default=1024 * 1024,
        gt=0,
        description="what is remembered of a session: `connection_init` and open operations; more"
        " ends it with 1008",
    )
    max_size: Size = Field(
        default=1024 * 1024,
        gt=0,
        description="a larger message is not read, and passes, unless `id` and `type` are its first"
        " members",
    )
