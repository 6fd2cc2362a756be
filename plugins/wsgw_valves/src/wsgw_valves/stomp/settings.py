"""The options of the valve."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from wsgw_core.api import Limits, Size

from ..broker_settings import BrokerSettings


class StompSettings(BrokerSettings):
    """The options, all of which are limits."""

    max_frame_size: Size = Field(
        default=1024 * 1024,
        ge=16,
        description="maximum bytes of a frame in either direction; a larger one ends the session",
    )

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options. Warns if frames may be larger than messages."""
        if self.max_frame_size > limits.max_message_size:
            text = f"allows frames of {self.max_frame_size} bytes"
            yield "max-frame-size", f"{text}, but limits.max-message-size is smaller"
