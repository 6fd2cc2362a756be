"""Long answers are passed on in turns, so that everything else has its share of the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Protocol

from wsgw_core.api import BackendContext, Message

from .failures import BadAnswer

_SLICE = 4 * 1024  # bytes that are parsed before the clock is looked at
_LONGEST = 0.0003  # seconds of one turn
_SMALL = 1024  # bytes of a piece that needs no turn
_WASTE_PERIOD = 60.0  # seconds


class Taker(Protocol):
    """Takes the messages of an answer."""

    @property
    def has_room(self) -> bool:
        """Whether the client takes more now."""
        ...

    def pass_on(self, message: Message) -> None:
        """Send the client a message."""
        ...


class Waste:
    """Bounds what an answer may bring that is no message: empty lines, comments, nameless fields.

    A little of it keeps a connection alive, so that it counts for each minute anew.

    Args:
        context: of the backend.
        longest: bytes of one message as the answer may have it.
    """

    def __init__(self, context: BackendContext, longest: int) -> None:
        self._clock = context.clock
        self._most = 2 * longest + 64 * 1024
        self._bytes = 0
        self._since = context.clock.time()

    def note(self, count: int, messages: int) -> None:
        """Note bytes, and how many messages ended in them.

        Raises:
            BadAnswer: there were too many bytes without a message.
        """
        if messages:
            self._bytes = 0
            return
        self._bytes += count
        if self._bytes > self._most:
            now = self._clock.time()
            if now - self._since < _WASTE_PERIOD:
                raise BadAnswer(f"it has no message in {self._most} bytes")
            self._bytes, self._since = 0, now


class PieceTurns:
    """Parses answers of several messages, each for a short time in one turn of the event loop.

    Args:
        context: of the backend.
    """

    def __init__(self, context: BackendContext) -> None:
        self._context = context

    async def pass_on(
        self,
        pieces: AsyncIterator[bytes],
        parse: Callable[[bytes], list[Message]],
        taker: Taker,
        wait_for_room: Callable[[], Awaitable[None]],
        longest: int,
    ) -> None:
        """Pass the messages of an answer on, as it comes.

        Args:
            pieces: of the answer.
            parse: returns the messages that end in some bytes; raises BadAnswer.
            taker: takes them.
            wait_for_room: returns when it takes more.
            longest: bytes of one message as the answer may have it.

        Raises:
            BadAnswer: as `parse` does; or there is too much that is no message.
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
                    del turn  # it and an exception of it would keep each other, and the piece
                if not taker.has_room:
                    await wait_for_room()
            if not taker.has_room:
                await wait_for_room()


class _Part:
    """A piece that is parsed bit by bit."""

    __slots__ = ("_batch", "_data", "_parse", "_start", "_taker", "_waste")

    def __init__(
        self,
        context: BackendContext,
        data: bytes,
        parse: Callable[[bytes], list[Message]],
        taker: Taker,
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
        except Exception as error:  # noqa: BLE001 - raised where the turn is waited for
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
