"""Divides what a broker sends between the AMQP library and the channel that is ours."""

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
"""The number of our channel; the library opens none but number 1."""

FRAME_HEAD = struct.Struct("!BHI")
"""Of each frame: its type, its channel, the bytes of its payload; then one byte ends the frame."""

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8

UNREADABLE = (PAMQPException, ValueError, IndexError, struct.error, RecursionError)
"""What is raised where a frame, or a table in it, is not as AMQP 0-9-1 has it."""

_TYPES = (METHOD, HEADER, BODY, HEARTBEAT)
_END = 0xCE
_OVERHEAD = FRAME_HEAD.size + 1
_LARGEST_FRAME = 16 * 1024 * 1024
_HIGH_WATER = 1024 * 1024
"""Bytes that wait for the broker to read, of all sessions together."""

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


class FrameListener(Protocol):
    """Who uses the connection."""

    def frame_received(self, kind: int, data: bytes, start: int, end: int, /) -> None:
        """Takes a frame of our channel; its payload is `data[start:end]`."""
        ...

    def read_done(self) -> None:
        """Acts on all frames of one read."""
        ...

    def notice_received(self, notice: Frame, /) -> None:
        """Hears that the broker blocks, unblocks or closes the connection."""
        ...

    def flow_changed(self, *, is_paused: bool) -> None:
        """Hears whether too much waits for the broker to read it."""
        ...

    def disconnected(self, reason: str, /) -> None:
        """Hears that the connection is lost or closed."""
        ...


class FrameSplitter(asyncio.StreamReaderProtocol):
    """The lower end of a connection: the library reads from `reader` what is not ours.

    aiormq takes a pair of streams from whoever makes them. So all bytes pass through here: frames
    of our channel are handed to the listener where they lie, and the library gets the others.

    Args:
        listener: uses our channel.
        loop: the running one.

    Attributes:
        reader: the library's stream.
        transport: of the connection, once it is made.
        read_at: when the last bytes came, in the loop's time.
        feed_interval: seconds without a frame for the library after which it gets a heartbeat: it
            must not take the connection for silent when all that comes is ours.
    """

    transport: asyncio.Transport

    def __init__(self, listener: FrameListener, loop: asyncio.AbstractEventLoop) -> None:
        self.reader = asyncio.StreamReader(loop=loop)
        super().__init__(self.reader, loop=loop)
        self._clock = loop
        self._listener = listener
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
            self._listener.read_done()
        if self.read_at - self._fed_at >= self.feed_interval:
            self._fed_at = self.read_at
            self.reader.feed_data(_HEARTBEAT)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        super().pause_writing()
        self._listener.flow_changed(is_paused=True)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        super().resume_writing()
        self._listener.flow_changed(is_paused=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        super().connection_lost(exc)
        self._listener.disconnected(str(exc) if exc else "the broker closed the connection")

    def _take_frames(self, data: bytes) -> int:
        """Passes on all frames that are complete, and returns where the rest begins."""
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
                    self._listener.frame_received(kind, data, position + FRAME_HEAD.size, end - 1)
                else:
                    self._feed(kind, data[position:end])
            except UNREADABLE as error:
                self._break_off(data[position:], f"the broker sent what cannot be read: {error}")
                return length
            position = end
        return position

    def _feed(self, kind: int, frame: bytes) -> None:
        self._fed_at = self.read_at
        self.reader.feed_data(frame)
        if kind == METHOD and _INDEX.unpack_from(frame, FRAME_HEAD.size)[0] in _NOTICES:
            _, _, notice = pamqp.frame.unmarshal(frame)
            if isinstance(notice, Frame):
                self._listener.notice_received(notice)

    def _break_off(
        self, data: bytes, reason: str = "the other side does not speak AMQP 0-9-1"
    ) -> None:
        """Lets the library say what is wrong with bytes that are no frames, and reads no more."""
        self._is_broken = True
        self.reader.feed_data(data)
        self.transport.abort()
        self._listener.disconnected(reason)
