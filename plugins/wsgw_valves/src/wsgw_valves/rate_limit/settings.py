"""The options of the valve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from wsgw_core.api import Duration, HandshakeField, Limits, Options, Size


class RateLimitSettings(Options):
    """Rates, and the action for messages beyond them."""

    messages: float | None = Field(default=None, gt=0, description="messages a second")
    messages_burst: int | None = Field(
        default=None,
        ge=1,
        description="messages that may come at once after a quiet time; default: those of a second",
    )
    bytes: Size | None = Field(default=None, gt=0, description="bytes of messages a second")
    bytes_burst: Size | None = Field(
        default=None,
        gt=0,
        description="bytes that may come at once after a quiet time; default: those of a second",
    )
    per: HandshakeField | None = Field(
        default=None,
        description="sessions with the same value of this field share the rates: `peer`, or"
        " `header.NAME`, `query.NAME`, `cookie.NAME`, `path.N`; those without a value share too;"
        " none: each session has its own rates",
    )
    directions: Literal["to-backend", "to-client", "both"] = Field(
        default="to-backend",
        description="direction of the messages that count; with `both`, each direction has its own"
        " rates",
    )
    action: Literal["pause", "discard", "close"] = Field(
        default="pause",
        description="what happens beyond a rate: `pause` delays messages, and in the end wsgw stops"
        " reading from the sender; `discard` drops the message; `close` ends the session with 1008",
    )
    max_pause: Duration = Field(
        default=5.0,
        gt=0,
        le=60,
        description="with `pause`, a message that would wait longer ends the session with 1008;"
        " must be less than `limits.valve-timeout`",
    )

    @model_validator(mode="after")
    def _check(self) -> RateLimitSettings:
        if self.messages is None and self.bytes is None:
            raise ValueError("needs 'messages' or 'bytes'")
        for rate, burst in (("messages", self.messages_burst), ("bytes", self.bytes_burst)):
            if burst is not None and getattr(self, rate) is None:
                raise ValueError(f"'{rate}-burst' needs '{rate}'")
        if self.action != "pause" and "max_pause" in self.model_fields_set:
            raise ValueError("'max-pause' needs 'action: pause'")
        return self

    def warnings(self, limits: Limits) -> Iterable[tuple[str, str]]:
        """See Options. Warns if some allowed messages never pass."""
        if self.bytes is None:
            return
        largest = self.bytes_burst or self.bytes
        if self.action == "pause":
            largest += int(self.bytes * self.max_pause)
        if largest < limits.max_message_size:
            key = "bytes" if self.bytes_burst is None else "bytes-burst"
            text = f"a message of more than {largest} bytes never passes"
            yield key, f"{text}, but limits.max-message-size allows it"
