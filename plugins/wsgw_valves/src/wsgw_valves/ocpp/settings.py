"""What can be configured for the valve."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import Duration, Options


class OcppSettings(Options):
    """How long and how many calls are open."""

    answer_timeout: Duration = Field(
        default=60.0,
        gt=0,
        description="an acknowledged call of the client that has no answer after this time is not"
        " sent again",
    )
    max_calls: int = Field(
        default=100,
        gt=0,
        le=100_000,
        description="calls of one backend that wait for the client's answer; beyond them the oldest"
        " are forgotten, and answers to these dropped",
    )
