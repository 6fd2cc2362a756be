"""Passes long answers on in short turns, so that other sessions get their share of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from wsgw_core.api import BackendContext, Message

from .failures import BadAnswer

if TYPE_CHECKING:
    from .connection import HttpConnection

_SLICE = 4 * 1024  # bytes to parse between two looks at the clock
_LONGEST = 0.0003  # seconds of one turn
_SMALL = 1024  # bytes of a piece that is parsed at once
_WASTE_PERIOD = 60.0  # seconds


class Waste:
    """Limits the bytes of an answer that are no message: empty lines, comments, unknown fields.

    The count starts again each minute, so that comments can keep a connection alive.

    Args:
        context: the backend's.
        longest: maximum bytes of one message in the answer.
    """

    def __init__(self, context: BackendContext, longest: int) -> None:
        self._clock = context.clock
        self._most = 2 * longest + 64 * 1024
        self._bytes = 0
        self._since = context.clock.time()

    def note(self, count: int, messages: int) -> None:
        """Counts bytes, and the messages that ended in them.

        Raises:
            BadAnswer: too many bytes came without a message.
        """
        if messages:
            self._bytes = 0
            return
        self._bytes += count
        if self._bytes > self._most:
            now = self._clock.time()
            if now - self._since < _WASTE_PERIOD:
                raise BadAnswer(f"more than {self._most} bytes came without a message")
            self._bytes, self._since = 0, now


class PieceTurns:
    """Parses answers of several messages, a short time in each turn of the event loop.

    Args:
        context: the backend's.
    """

    def __init__(self, context: BackendContext) -> None:
        self._context = context

    async def pass_on(
        self,
        pieces: AsyncIterator[bytes],
        parse: Callable[[bytes], list[Message]],
        taker: HttpConnection,
        wait_for_room: Callable[[], Awaitable[None]],
        longest: int,
    ) -> None:
        """Passes the messages of an answer on as they arrive.

        Args:
            pieces: the bytes of the answer.
            parse: returns the messages that end in some bytes; raises BadAnswer.
            taker: receives the messages.
            wait_for_room: waits until the taker has room.
            longest: maximum bytes of one message in the answer.

        Raises:
            BadAnswer: from `parse`; or too many bytes are no message.
        """
        context = self._context
        waste = Waste(context, longest)
        async for piece in pieces:
            part = _Part(context, piece, parse, taker, waste)
            if len(piece) <= _SMALL:
                part.parse_all()
            while not part.is_done:
                turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                context.read_batch.call_in_turn(context.clock, partial(part.take_turn, turn))
                try:
                    await turn
                finally:
                    del turn  # breaks a cycle of the future and its exception
                if not taker.has_room:
                    await wait_for_room()
            if not taker.has_room:
                await wait_for_room()


class _Part:
    """A piece of an answer, parsed in several turns."""

    __slots__ = ("_batch", "_data", "_parse", "_start", "_taker", "_waste")

    def __init__(
        self,
        context: BackendContext,
        data: bytes,
        parse: Callable[[bytes], list[Message]],
        taker: HttpConnection,
        waste: Waste,
    ) -> None:
        self._batch = context.read_batch
        self._data = data
        self._start = 0
        self._parse = parse
        self._taker = taker
        self._waste = waste

    @property
    def is_done(self) -> bool:
        return self._start >= len(self._data)

    def parse_all(self) -> None:
        while not self.is_done:
            self._parse_some()

    def take_turn(self, turn: asyncio.Future[None]) -> bool:
        """See Turns."""
        if turn.done():  # cancelled
            return False
        until = time.monotonic() + _LONGEST
        self._batch.is_open = True
        try:
            while True:
                self._parse_some()
                if self.is_done or not self._taker.has_room or time.monotonic() >= until:
                    break
        except Exception as error:  # noqa: BLE001 - `await turn` raises it
            turn.set_exception(error.with_traceback(None))
        else:
            turn.set_result(None)
        finally:
            self._batch.close()
        return False

    def _parse_some(self) -> None:
        bit = self._data[self._start : self._start + _SLICE]
        self._start += len(bit)
        messages = self._parse(bit)
        self._waste.note(len(bit), len(messages))
        for message in messages:
            self._taker.pass_on(message)
