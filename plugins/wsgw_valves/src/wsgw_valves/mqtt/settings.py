"""What can be configured for the valve."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from wsgw_core.api import Limits, Size

from ..broker_settings import BrokerSettings


class MqttSettings(BrokerSettings):
    """Bounds."""

    max_packet_size: Size = Field(
        default=1024 * 1024,
        ge=16,
        description="bytes of a packet, in either direction; a larger one ends the session",
    )

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options: packets come and go as messages."""
        if self.max_packet_size > limits.max_message_size:
            text = f"packets of up to {self.max_packet_size} bytes are put together"
            yield "max-packet-size", f"{text}, and limits.max-message-size is smaller"
