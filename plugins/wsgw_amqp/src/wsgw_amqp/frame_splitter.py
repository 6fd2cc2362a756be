"""Splits the frames of a broker between aiormq and our own channel."""

from __future__ import annotations

import asyncio
import struct
from typing import Protocol, cast

import pamqp.frame
from pamqp import commands
from pamqp.base import Frame
from pamqp.exceptions import PAMQPException
from pamqp.heartbeat import Heartbeat

OWN_CHANNEL = 2
"""The number of our channel; aiormq only opens channel 1."""

FRAME_HEAD = struct.Struct("!BHI")
"""The head of a frame: type, channel, size of the payload. One byte ends the frame (2.3.5)."""

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8

UNREADABLE = (PAMQPException, ValueError, IndexError, struct.error, RecursionError)
"""The exceptions for a frame, or a table in it, that is not valid AMQP 0-9-1."""

_TYPES = (METHOD, HEADER, BODY, HEARTBEAT)
_END = 0xCE
_OVERHEAD = FRAME_HEAD.size + 1
_LARGEST_FRAME = 16 * 1024 * 1024
_HIGH_WATER = 1024 * 1024
"""Maximum bytes that wait for the broker to read, for all sessions together."""

_INDEX = struct.Struct("!I")
_HEARTBEAT = Heartbeat.value
_NOTICES = frozenset(
    each.index
    for each in (
        commands.Connection.Blocked,
        commands.Connection.Unblocked,
        commands.Connection.Close,
    )
)


class FrameReceiver(Protocol):
    """The user of the connection."""

    def frame_received(self, kind: int, data: bytes, start: int, end: int, /) -> None:
        """Called with a frame of our channel; its payload is `data[start:end]`."""

    def read_done(self) -> None:
        """Called after all frames of one read."""

    def notice_received(self, notice: Frame, /) -> None:
        """Called when the broker blocks, unblocks or closes the connection."""

    def flow_changed(self, *, is_paused: bool) -> None:
        """Called when too many bytes wait for the broker, and when no longer."""

    def disconnected(self, reason: str, /) -> None:
        """Called when the connection is lost or closed."""


class FrameSplitter(asyncio.StreamReaderProtocol):
    """The lower end of a connection; aiormq reads the frames of other channels from `reader`.

    aiormq takes a pair of streams from a factory, so all bytes pass through here. The receiver gets
    the frames of our channel without a copy.

    Args:
        receiver: uses our channel.
        loop: the running loop.

    Attributes:
        reader: aiormq's stream.
        transport: of the connection, once it is made.
        read_at: the time of the last bytes, by the loop's clock.
        feed_interval: seconds after which aiormq gets a heartbeat if no other frame was for it.
            Otherwise it would take the connection for silent while only our frames arrive.
    """

    transport: asyncio.Transport

    def __init__(self, receiver: FrameReceiver, loop: asyncio.AbstractEventLoop) -> None:
        self.reader = asyncio.StreamReader(loop=loop)
        super().__init__(self.reader, loop=loop)
        self._clock = loop
        self._receiver = receiver
        self._rest = b""
        self._is_broken = False
        self.read_at = self._fed_at = loop.time()
        self.feed_interval = 1.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_HIGH_WATER)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.read_at = self._clock.time()
        if self._rest:
            data = self._rest + data
        try:
            self._rest = data[self._take_frames(data) :]
        finally:
            self._receiver.read_done()
        if self.read_at - self._fed_at >= self.feed_interval:
            self._fed_at = self.read_at
            self.reader.feed_data(_HEARTBEAT)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        super().pause_writing()
        self._receiver.flow_changed(is_paused=True)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        super().resume_writing()
        self._receiver.flow_changed(is_paused=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        super().connection_lost(exc)
        self._receiver.disconnected(str(exc) if exc else "the broker closed the connection")

    def _take_frames(self, data: bytes) -> int:
        """Passes on all complete frames, and returns the position of the rest."""
        position, length = 0, len(data)
        while length - position >= _OVERHEAD and not self._is_broken:
            kind, channel, size = FRAME_HEAD.unpack_from(data, position)
            end = position + size + _OVERHEAD
            if kind not in _TYPES or size > _LARGEST_FRAME:
                self._break_off(data[position:])
                return length
            if end > length:
                break
            if data[end - 1] != _END:
                self._break_off(data[position:])
                return length
            try:
                if channel == OWN_CHANNEL:
                    self._receiver.frame_received(kind, data, position + FRAME_HEAD.size, end - 1)
                else:
                    self._feed(kind, data[position:end])
            except UNREADABLE as error:
                self._break_off(data[position:], f"the broker sent an invalid frame: {error}")
                return length
            position = end
        return position

    def _feed(self, kind: int, frame: bytes) -> None:
        self._fed_at = self.read_at
        self.reader.feed_data(frame)
        if kind == METHOD and _INDEX.unpack_from(frame, FRAME_HEAD.size)[0] in _NOTICES:
            _, _, notice = pamqp.frame.unmarshal(frame)
            if isinstance(notice, Frame):
                self._receiver.notice_received(notice)

    def _break_off(self, data: bytes, reason: str = "the server does not speak AMQP 0-9-1") -> None:
        """Stops reading; aiormq gets the invalid bytes and raises an error for them."""
        self._is_broken = True
        self.reader.feed_data(data)
        self.transport.abort()
        self._receiver.disconnected(reason)
