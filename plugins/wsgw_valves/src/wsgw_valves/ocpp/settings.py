"""The options of the valve."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import Duration, Options


class OcppSettings(Options):
    """Limits of open calls."""

    answer_timeout: Duration = Field(
        default=60.0,
        gt=0,
        description="wsgw does not send an acknowledged call again if it has no answer after this"
        " time",
    )
    max_calls: int = Field(
        default=100,
        gt=0,
        le=100_000,
        description="maximum number of a backend's calls without the client's answer; above it wsgw"
        " forgets the oldest and drops their answers",
    )
