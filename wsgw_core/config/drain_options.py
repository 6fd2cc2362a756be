"""How sessions leave a backend that is drained."""

from __future__ import annotations

from pydantic import Field

from ..api import Duration, Options


class DrainOptions(Options):
    """How sessions are moved away from a backend that is to be taken out of service."""

    rate: float = Field(default=50.0, gt=0, description="sessions that begin to move each second")
    quiet: Duration = Field(
        default=0.5,
        gt=0,
        description="a session moves when everything is acknowledged and nothing has come from"
        " either its backend or an acknowledgement for so long",
    )
    patience: Duration = Field(
        default=30.0,
        gt=0,
        description="how long that is waited for; then the session moves all the same, what is not"
        " acknowledged is sent again, and replies that the backend still owes are not waited for",
    )
