"""A channel whose frames are read and written here, many in one call."""

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
_BODY_SIZE_AT = 4  # behind the class and the weight
_PROPERTIES_AT = 12

ContentTaker = Callable[[bytes, bytes | None], object]
MethodTaker = Callable[[bytes, int], object]


class ChannelClosedError(Exception):
    """The broker has closed the channel, or the connection is lost.

    Args:
        reason: one line.
        code: the broker's, such as 404; 0: it gave none.
    """

    def __init__(self, reason: str, code: int = 0) -> None:
        self.reason = reason
        self.code = code
        super().__init__(reason)


class OwnChannel:
    """What the two uses of a channel share: opening it, calls that are answered, and contents.

    A subclass names in `methods` what takes each method of its use: called with the data and where
    the method's arguments begin. Such a taker may `expect_content`.

    Args:
        max_size: bytes of a content; of a longer one only its properties are kept.
        on_closed: called when the broker closes the channel, with one line.

    Attributes:
        frame_max: bytes of one frame.
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
        self._missing = 0  # bytes of the content that have not come
        self._parts: list[bytes] | None = None  # None: it is too long

    async def open(self, write: Callable[[bytes], object], frame_max: int) -> None:
        """Opens the channel.

        Raises:
            ChannelClosedError: the broker does not want it, or is lost.
        """
        self._write = write
        self.frame_max = frame_max
        await self.call(commands.Channel.Open())

    async def call(self, method: Frame) -> Frame:
        """Sends a method and returns the broker's answer; one at a time.

        Raises:
            ChannelClosedError: the broker does not like it, or is lost.
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
        """Whether frames can be sent."""
        return self._write is not None

    def write(self, frames: bytes) -> None:
        """Sends frames; without effect when the channel is closed."""
        if self._write is not None:
            self._write(frames)

    def ended(self, reason: str, code: int = 0) -> None:
        """Sends nothing more, and ends the call that waits."""
        self._write = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ChannelClosedError(reason, code))

    def frame_received(self, kind: int, data: bytes, start: int, end: int) -> None:
        """See FrameListener."""
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
        """See FrameListener."""

    def expect_content(self, take: ContentTaker) -> None:
        """Has the content that follows taken: its properties, and its body.

        The body is None when it is longer than `max_size`.
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
            self._closed_by_broker(f"the broker sent what cannot be read: {error}")
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
