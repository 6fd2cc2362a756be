"""The options of the valve."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import Options


class HeartbeatSettings(Options):
    """The options; both are complete text messages."""

    question: str = Field(default="ping", description="text of a client's heartbeat")
    answer: str = Field(default="pong", description="text of the answer")
