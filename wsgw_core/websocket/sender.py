"""Sends whole messages and control frames on one connection."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from ..api import Message, ReadBatch
from . import frames
from .compression import Deflate
from .endpoint_events import EndpointEvents
from .framed_message import FramedMessage

_LARGE = 16 * 1024  # bytes; above, a copy costs more than a vectored write

NEVER = sys.maxsize


class Sender(asyncio.Protocol):
    """Writes frames; those that follow from one read leave in one write.

    Args:
        events: handles the events of the connection.
        read_batch: shared by all connections that relay to each other.
        share: how much each message adds to `sent_weight` besides its payload.

    Attributes:
        sent_messages, sent_weight: the number and the weight of all messages sent.
        wake_at: when `sent_weight` reaches this, `events.woken` is called, and this becomes NEVER.
    """

    __slots__ = (
        "_batch",
        "_client_side",
        "_close_sent",
        "_deflate",
        "_events",
        "_owed",
        "_passes_masked",
        "_pending",
        "_share",
        "_transport",
        "_write",
        "sent_messages",
        "sent_weight",
        "wake_at",
    )

    _transport: asyncio.Transport
    _client_side: bool
    # frames with this `masked` can be sent on unchanged
    _passes_masked: bool | None

    def __init__(self, events: EndpointEvents, read_batch: ReadBatch, share: int) -> None:
        self._events = events
        self._batch = read_batch
        self.sent_messages = 0
        self.sent_weight = 0
        self._share = share
        self.wake_at = NEVER
        self._write: Callable[[bytes], object] = ignore
        self._pending: list[bytes] = []  # frames to write when the batch closes
        self._deflate: Deflate | None = None
        # while the peer does not read: the newest ping and pong, to be sent when it does
        self._owed: dict[int, bytes] | None = None
        self._close_sent = False

    def send(self, message: Message) -> None:
        """Sends one message; without effect after a close."""
        self.sent_messages += 1
        if (
            message.__class__ is not FramedMessage
            or message.masked is not self._passes_masked
            or (frame := message.frame) is None
        ):
            frame = self._frame(message)
        if self._batch.is_open:
            pending = self._pending
            if not pending:
                self._batch.add(self)
            pending.append(frame)
        else:
            write = self._write
            write(frame)
        sent_weight = self.sent_weight = self.sent_weight + message.size + self._share
        if sent_weight >= self.wake_at:
            self.wake_at = NEVER
            self._events.woken()

    @property
    def sent_bytes(self) -> int:
        """Bytes of the payloads of all messages sent."""
        return self.sent_weight - self.sent_messages * self._share

    def pong(self, payload: bytes) -> None:
        """Sends a pong; a peer that does not read gets only the newest one."""
        self._send_control(frames.PONG, payload)

    def ping(self, payload: bytes) -> None:
        """Sends a ping; a peer that does not read gets only the newest one."""
        self._send_control(frames.PING, payload)

    def flush(self) -> None:
        """Writes the frames gathered during a read; called by the ReadBatch."""
        pending = self._pending
        if sum(map(len, pending)) <= _LARGE:
            self._write(b"".join(pending))
        elif self._write is not ignore:
            self._transport.writelines(pending)
        pending.clear()

    def _frame(self, message: Message) -> bytes:
        data: bytes | bytearray | memoryview = message.data
        first = frames.FIN | message.kind
        if self._deflate is not None and len(data) >= self._deflate.min_size:
            first |= frames.RSV1
            data = self._deflate.compress(message.data)
        return frames.write_frame(first, data, masked=self._client_side)

    def _send_control(self, opcode: int, payload: bytes) -> None:
        if self._owed is not None:
            self._owed[opcode] = payload
            return
        frame = self._control(opcode, payload)
        if self._batch.is_open:  # behind the messages of this read
            if not self._pending:
                self._batch.add(self)
            self._pending.append(frame)
        else:
            self._write(frame)

    def _control(self, opcode: int, payload: bytes) -> bytes:
        return frames.write_frame(frames.FIN | opcode, payload, masked=self._client_side)

    def _send_close(self, code: int, reason: str) -> None:
        self._write_close(frames.close_payload(code, reason))

    def _write_close(self, body: bytes) -> None:
        if not self._close_sent:
            self._close_sent = True
            self.flush()
            self._write(self._control(frames.CLOSE, body))
            self._write = ignore


def ignore(_message: Any) -> None:
    """Does nothing; stands in for `write` and `deliver` before the start and after the end."""
