"""How sessions leave a backend that is drained."""

from __future__ import annotations

from pydantic import Field

from ..api import Duration, Options


class DrainOptions(Options):
    """How sessions move away from a backend that goes out of service."""

    rate: float = Field(default=50.0, gt=0, description="sessions that begin to move each second")
    quiet: Duration = Field(
        default=0.5,
        gt=0,
        description="a session moves when everything is acknowledged and, for this long, the client"
        " has sent nothing and its backend has not answered. What the backend sends counts as an"
        " answer until the client has been silent for ten times this long",
    )
    patience: Duration = Field(
        default=30.0,
        gt=0,
        description="maximum wait for that moment, while wsgw relays as usual; then the session"
        " moves without it",
    )
    step: Duration = Field(
        default=1.0,
        gt=0,
        description="maximum time for which a move holds back the client's messages: the old"
        " backend has half of it to answer, and the rest to acknowledge and to end",
    )
