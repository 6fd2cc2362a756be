"""What can be configured for the valve."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import Options


class HeartbeatSettings(Options):
    """Both are whole text messages."""

    question: str = Field(default="ping", description="the text that asks for a sign of life")
    answer: str = Field(default="pong", description="the text that the client is answered")
