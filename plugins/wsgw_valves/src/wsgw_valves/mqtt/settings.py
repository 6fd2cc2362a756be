"""What can be configured for the valve."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from wsgw_core.api import Duration, Limits, Options, Size


class MqttSettings(Options):
    """Bounds."""

    max_packet_size: Size = Field(
        default=1024 * 1024,
        ge=16,
        description="bytes of a packet, in either direction; a larger one ends the session",
    )
    max_subscriptions: int = Field(
        default=1000,
        ge=1,
        description="subscriptions of a session; one more ends it with 1008",
    )
    max_remembered_bytes: Size = Field(
        default=256 * 1024,
        ge=1024,
        description="what is remembered of a session: CONNECT, subscriptions, topic aliases, and"
        " messages of QoS 2 that are under way; more ends it with 1008",
    )
    answer_timeout: Duration = Field(
        default=60.0,
        gt=0,
        description="how long the broker may take for an answer, such as PUBACK; what is answered"
        " later is not sent to another broker",
    )

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options: packets come and go as messages."""
        if self.max_packet_size > limits.max_message_size:
            text = f"packets of up to {self.max_packet_size} bytes are put together"
            yield "max-packet-size", f"{text}, and limits.max-message-size is smaller"
