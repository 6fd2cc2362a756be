"""The options of the valve."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from wsgw_core.api import Limits, Size

from ..broker_settings import BrokerSettings


class MqttSettings(BrokerSettings):
    """The options, all of which are limits."""

    max_packet_size: Size = Field(
        default=1024 * 1024,
        ge=16,
        description="maximum bytes of a packet in either direction; a larger one ends the session",
    )

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options. Warns if packets may be larger than messages."""
        if self.max_packet_size > limits.max_message_size:
            text = f"allows packets of {self.max_packet_size} bytes"
            yield "max-packet-size", f"{text}, but limits.max-message-size is smaller"
