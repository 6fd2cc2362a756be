"""What can be configured for valves of brokers."""

from __future__ import annotations

from pydantic import Field

from wsgw_core.api import Duration, Options, Size


class BrokerSettings(Options):
    """Bounds of what is remembered of a session, and of the time for an answer."""

    max_subscriptions: int = Field(
        default=1000,
        ge=1,
        description="subscriptions of a session; one more ends it with 1008",
    )
    max_remembered_bytes: Size = Field(
        default=256 * 1024,
        ge=1024,
        description="what is remembered of a session, such as CONNECT and subscriptions; more ends"
        " it with 1008",
    )
    answer_timeout: Duration = Field(
        default=60.0,
        gt=0,
        description="how long the broker may take for an answer, such as PUBACK or RECEIPT; what is"
        " answered later is not sent to another broker",
    )
