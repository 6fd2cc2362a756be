"""Limits for clients, sessions and messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from ..api import Duration, Limits, Options, Size
from ..available_memory import default_memory_bound


class LimitOptions(Options):
    """Limits for clients, sessions and messages."""

    max_header_bytes: Size = Field(default=64 * 1024, gt=0)
    max_header_count: int = Field(
        default=100, gt=0, description="header lines of a client's request"
    )
    handshake_timeout: Duration = Field(default=10.0, gt=0)
    max_sessions: int | None = Field(
        default=None,
        gt=0,
        description="maximum number of clients, including those in their handshake; none: as many"
        " as the limit of open files allows",
    )
    max_sessions_per_address: int | None = Field(
        default=None,
        gt=0,
        description="maximum number of clients from one address or one IPv6 /64 network; none: no"
        " limit",
    )
    max_handshakes_per_second: int | None = Field(
        default=None,
        gt=0,
        description="maximum number of new clients a second; one address or one IPv6 /64 network"
        " leaves others half of them; none: no limit",
    )
    client_idle_timeout: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description="close a client from which no bytes arrive for this long; none: never",
    )
    slow_client_timeout: Duration = Field(
        default=60.0,
        description="close a client that takes less than 256 bytes a second, averaged over this"
        " time, while data waits for it; 0: never",
    )
    max_session_life: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description="close a client after this time, or up to a tenth earlier; none: never",
    )
    max_message_size: Size = Field(
        default=1024 * 1024, gt=0, description="maximum bytes of one message, after decompression"
    )
    max_fragments: int = Field(default=4096, gt=0, description="maximum frames of one message")
    ledger_messages: int = Field(default=4096, gt=0)
    ledger_bytes: Size = Field(default=2 * 1024 * 1024, gt=0)
    write_high_water: Size = Field(default=64 * 1024, gt=0)
    close_timeout: Duration = Field(default=10.0, gt=0)
    memory: Annotated[Size, Field(gt=0)] | None = Field(
        default=None,
        description="maximum bytes that all sessions hold together. Near it wsgw stops reading from"
        " the clients that hold the most; at it new clients get 503. None: half of the container's"
        " or the machine's memory",
    )
    valve_queue: int = Field(
        default=256, gt=0, description="maximum messages that wait for an asynchronous valve"
    )
    valve_queue_bytes: Size = Field(
        default=2 * 1024 * 1024, gt=0, description="maximum bytes of these messages"
    )
    valve_timeout: Duration = Field(
        default=10.0, gt=0, description="maximum time of one call of an asynchronous valve"
    )

    @property
    def memory_bound(self) -> int | None:
        """The effective `memory`; None: not set, and the system does not report its memory."""
        return default_memory_bound() if self.memory is None else self.memory

    @property
    def session_memory(self) -> int:
        """The approximate maximum of one session: ledger, incomplete messages, write buffers."""
        return self.ledger_bytes + 3 * self.max_message_size + 2 * self.write_high_water

    def warnings(self, limits: Limits) -> Iterator[tuple[str, str]]:
        """See Options."""
        yield from super().warnings(limits)
        if self.memory is not None and self.memory < 2 * self.session_memory:
            why = "`ledger-bytes`, `max-message-size` and `write-high-water`"
            each = f"up to {self.session_memory} bytes each, because of {why}"
            yield "memory", f"less than two sessions can need: {each}"

    def for_plugins(self) -> Limits:
        """Returns the limits that plugins must keep."""
        return Limits(
            max_message_size=self.max_message_size,
            max_fragments=self.max_fragments,
            ledger_messages=self.ledger_messages,
            ledger_bytes=self.ledger_bytes,
            write_high_water=self.write_high_water,
            close_timeout=self.close_timeout,
            slow_client_timeout=self.slow_client_timeout,
        )
