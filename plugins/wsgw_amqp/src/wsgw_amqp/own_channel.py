"""A channel whose frames wsgw reads and writes itself, many in one call."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

import pamqp.frame
from pamqp import commands
from pamqp.base import Frame

from .frame_splitter import BODY, FRAME_HEAD, HEADER, METHOD, OWN_CHANNEL, UNREADABLE

_INDEX = struct.Struct("!I")
_BODY_SIZE = struct.Struct("!Q")
_BODY_SIZE_AT = 4  # after the class and the weight
_PROPERTIES_AT = 12

ContentTaker = Callable[[bytes, bytes | None], object]
MethodTaker = Callable[[bytes, int], object]


class ChannelClosedError(Exception):
    """The broker has closed the channel, or the connection is lost.

    Args:
        reason: one line for the log.
        code: the broker's reply code, such as 404; 0: none.
    """

    def __init__(self, reason: str, code: int = 0) -> None:
        self.reason = reason
        self.code = code
        super().__init__(reason)


class OwnChannel:
    """The common part of our two channels: opening, synchronous calls, and contents.

    A subclass fills `methods` with a function for each method that it handles. The function gets
    the data and the position of the method's arguments, and may call `expect_content`.

    Args:
        max_size: maximum bytes of a content; the body of a longer one is dropped.
        on_closed: called with a reason when the broker closes the channel.

    Attributes:
        methods: functions by method index.
        frame_max: maximum bytes of one frame.
    """

    def __init__(self, max_size: int, on_closed: Callable[[str], object]) -> None:
        self.methods: dict[int, MethodTaker] = {}
        self.frame_max = 0
        self._max_size = max_size
        self._on_closed = on_closed
        self._write: Callable[[bytes], object] | None = None
        self._answer: asyncio.Future[Frame] | None = None
        self._take_content: ContentTaker | None = None
        self._properties = b""
        self._missing = 0  # bytes of the content that have not arrived
        self._parts: list[bytes] | None = None  # None: the content is too long

    async def open(self, write: Callable[[bytes], object], frame_max: int) -> None:
        """Opens the channel.

        Raises:
            ChannelClosedError: the broker refuses, or the connection is lost.
        """
        self._write = write
        self.frame_max = frame_max
        await self.call(commands.Channel.Open())

    async def call(self, method: Frame) -> Frame:
        """Sends a method and returns the broker's answer; only one at a time.

        Raises:
            ChannelClosedError: the broker refuses, or the connection is lost.
        """
        if self._write is None:
            raise ChannelClosedError("the connection is lost")
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._write(pamqp.frame.marshal(method, OWN_CHANNEL))
        try:
            return await answer
        finally:
            self._answer = None

    @property
    def is_open(self) -> bool:
        """Whether the channel can send frames."""
        return self._write is not None

    def write(self, frames: bytes) -> None:
        """Sends frames; without effect when the channel is closed."""
        if self._write is not None:
            self._write(frames)

    def ended(self, reason: str, code: int = 0) -> None:
        """Closes the channel, and makes a waiting call fail."""
        self._write = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ChannelClosedError(reason, code))

    def frame_received(self, kind: int, data: bytes, start: int, end: int) -> None:
        """See FrameReceiver."""
        if kind == METHOD:
            (index,) = _INDEX.unpack_from(data, start)
            taker = self.methods.get(index)
            if taker is not None:
                taker(data, start + _INDEX.size)
            else:
                self._take_other(data[start - FRAME_HEAD.size : end + 1])
        elif kind == HEADER:
            (self._missing,) = _BODY_SIZE.unpack_from(data, start + _BODY_SIZE_AT)
            self._properties = data[start + _PROPERTIES_AT : end]
            self._parts = [] if self._missing <= self._max_size else None
            if self._missing == 0:
                self._end_content()
        elif kind == BODY:
            self._missing -= end - start
            if self._parts is not None:
                self._parts.append(data[start:end])
            if self._missing <= 0:
                self._end_content()

    def read_done(self) -> None:
        """See FrameReceiver."""

    def expect_content(self, take: ContentTaker) -> None:
        """Calls `take` with the properties and the body of the content that follows.

        The body is None if it is longer than `max_size`.
        """
        self._take_content = take

    def _end_content(self) -> None:
        take, self._take_content = self._take_content, None
        parts, self._parts = self._parts, None
        if take is not None:
            body = None if parts is None else parts[0] if len(parts) == 1 else b"".join(parts)
            take(self._properties, body)

    def _take_other(self, frame: bytes) -> None:
        try:
            _, _, method = pamqp.frame.unmarshal(frame)
        except UNREADABLE as error:
            self._closed_by_broker(f"the broker sent an invalid frame: {error}")
            return
        if isinstance(method, commands.Channel.Close):
            self.write(pamqp.frame.marshal(commands.Channel.CloseOk(), OWN_CHANNEL))
            self._closed_by_broker(
                f"{method.reply_code} {method.reply_text}", method.reply_code or 0
            )
        elif isinstance(method, Frame) and self._answer is not None and not self._answer.done():
            self._answer.set_result(method)

    def _closed_by_broker(self, reason: str, code: int = 0) -> None:
        self.ended(reason, code)
        self._on_closed(f"the broker closed the channel: {reason}")
