"""The options of valves for brokers."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import Duration, Options, Size


class BrokerSettings(Options):
    """Limits of the memory of a session, and of the time for an answer."""

    max_subscriptions: int = Field(
        default=1000,
        ge=1,
        description="maximum subscriptions of a session; above it wsgw closes it with 1008",
    )
    max_remembered_bytes: Size = Field(
        default=256 * 1024,
        ge=1024,
        description="maximum bytes that wsgw remembers for a session, such as CONNECT and"
        " subscriptions; above it wsgw closes the session with 1008",
    )
    answer_timeout: Duration = Field(
        default=60.0,
        gt=0,
        description="maximum time for an answer of the broker, such as PUBACK or RECEIPT; wsgw does"
        " not send a message again whose answer takes longer",
    )
