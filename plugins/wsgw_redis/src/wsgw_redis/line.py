"""One connection to Redis: many commands under way, their replies in order, and time limits."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis

from wsgw_core.api import BackendUnavailable, Clock

Reply = Any
"""bytes, int, None, a list of these, or hiredis.ReplyError."""
Take = Callable[[list[Reply]], object]

_LOOKS = 4  # per time limit
_MISSING = object()
pack: Callable[[tuple[Any, ...]], bytes] = hiredis.pack_command
"""Returns a command as it is sent; its parts are bytes, texts and numbers."""
_PING = pack((b"PING",))
_PUSHED = (b"message", b"pmessage")


class LineLost(BackendUnavailable):
    """The connection was lost before the answer."""


class _Asked:
    """Commands of one write whose replies are taken together."""

    __slots__ = ("count", "patience", "take")

    def __init__(self, take: Take, count: int, patience: int) -> None:
        self.take = take
        self.count = count
        self.patience = patience


class Together:
    """A Take that passes the replies to several commands on when all have come.

    Args:
        count: how many.
        take: called with all of them.
    """

    __slots__ = ("_count", "_replies", "_take")

    def __init__(self, count: int, take: Callable[[list[Reply]], object]) -> None:
        self._count = count
        self._take = take
        self._replies: list[Reply] = []

    def __call__(self, some: list[Reply]) -> None:
        """Takes some of them."""
        self._replies += some
        if len(self._replies) == self._count:
            self._take(self._replies)


class Line(asyncio.Protocol):
    """A connection that has been authenticated.

    No method blocks, and nothing is done for each command but packing and parsing, which are
    hiredis' work. The server may take `command_timeout` to say anything while it owes a reply, and
    is pinged when it has said nothing for `health_interval`. Time is counted in looks, not in
    seconds, so that a gateway that was stopped for a while does not take its own sleep for the
    server's.

    Args:
        writer: connected; its transport gets another protocol.
        address: of the server, host and port or file.
        clock: for the looks.
        command_timeout: seconds without an answer, until the line counts as lost.
        health_interval: seconds of silence, until the server is pinged.

    Attributes:
        address: see above.
        is_lost: nothing can be sent any more.
        received: bytes so far.
        on_lost: called once with the line and a reason, not after `close`.
        on_writable: called with False when much waits to be written, and with True afterwards.
        on_pushed: called with each message of a channel; None: there are none.
    """

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        address: str,
        clock: Clock,
        *,
        command_timeout: float,
        health_interval: float,
    ) -> None:
        self.address = address
        self.is_lost = False
        self.received = 0
        self.on_lost: Callable[[Line, str], object] | None = None
        self.on_writable: Callable[[bool], object] | None = None
        self.on_pushed: Callable[[list[Reply]], object] | None = None
        self._clock = clock
        self._command_timeout = command_timeout
        self._pause = min(command_timeout, health_interval) / _LOOKS
        self._patience = self._looks_in(command_timeout)
        self._health_looks = self._looks_in(health_interval)
        self._looks = 0  # since the server said something, or was asked after a pause
        self._reader = hiredis.Reader(notEnoughData=_MISSING)
        self._asked: deque[_Asked] = deque()
        self._futures: set[asyncio.Future[list[Reply]]] = set()
        self._writer = writer  # closes the transport when it is forgotten
        self._transport = writer.transport
        self._transport.set_protocol(self)
        self._timer = clock.call_later(self._pause, self._look)

    # Commands

    def send(self, packed: bytes, count: int, take: Take, *, patience: float = 0.0) -> None:
        """Sends commands.

        Args:
            packed: the commands.
            count: how many they are.
            take: called with replies as they come, in order, several at a time.
            patience: seconds that the server may take beyond `command_timeout`.
        """
        if self.is_lost:
            return
        if not self._asked:
            self._looks = 0
        looks = self._patience + self._looks_in(patience) if patience else self._patience
        self._asked.append(_Asked(take, count, looks))
        self._transport.write(packed)

    async def ask(self, *commands: tuple[Any, ...]) -> list[Reply]:
        """Sends commands and returns the replies, errors among them.

        Raises:
            LineLost: the connection was lost.
        """
        if self.is_lost:
            raise LineLost("the connection to Redis is lost")
        future: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()

        def answer(replies: list[Reply]) -> None:
            if not future.done():
                future.set_result(replies)

        self._futures.add(future)
        packed = b"".join(map(pack, commands))
        self.send(packed, len(commands), Together(len(commands), answer))
        try:
            return await future
        finally:
            self._futures.discard(future)

    def close(self) -> None:
        """Closes at once, also before a server that reads no more, and tells nobody."""
        self.on_lost = None
        self.lose("the connection is closed")

    def lose(self, reason: str) -> None:
        """Gives the connection up."""
        if not self.is_lost:
            self._end(reason)
            self._transport.abort()
            if self.on_lost is not None:
                self.on_lost(self, reason)

    # What the transport calls

    def data_received(self, data: bytes) -> None:
        """Takes what the server says."""
        self._looks = 0
        self.received += len(data)
        gets, replies = self._reader.gets, []
        try:
            self._reader.feed(data)
            while (reply := gets()) is not _MISSING:
                replies.append(reply)
        except hiredis.ProtocolError:
            self.lose("what the server says is not Redis' protocol")
            return
        if self.on_pushed is not None:
            replies = self._without_pushed(replies)
        self._hand_over(replies)

    def connection_lost(self, error: Exception | None) -> None:
        """Notes the end."""
        self.lose(f"connection lost: {error}" if error else "Redis closed the connection")

    def pause_writing(self) -> None:
        """Notes that much waits to be written."""
        if self.on_writable is not None:
            self.on_writable(False)

    def resume_writing(self) -> None:
        """Notes that little waits."""
        if self.on_writable is not None:
            self.on_writable(True)

    def limit_writes(self, high: int) -> None:
        """Calls `on_writable` when more bytes than this wait to be written."""
        self._transport.set_write_buffer_limits(high)

    # Inside

    def _hand_over(self, replies: list[Reply]) -> None:
        asked, start = self._asked, 0
        while start < len(replies) and not self.is_lost:
            if not asked:
                self.lose("Redis answers what was not asked")
                return
            head = asked[0]
            some = replies[start : start + head.count]
            start += len(some)
            head.count -= len(some)
            if not head.count:
                asked.popleft()
            head.take(some)

    def _without_pushed(self, replies: list[Reply]) -> list[Reply]:
        answers = []
        for reply in replies:
            if type(reply) is list and reply[0] in _PUSHED:
                assert self.on_pushed is not None  # noqa: S101 - the caller's condition
                self.on_pushed(reply)
            else:
                answers.append(reply)
        return answers

    def _look(self) -> None:
        self._timer = self._clock.call_later(self._pause, self._look)
        self._looks += 1
        if self._asked:
            if self._looks > self._asked[0].patience:
                self.lose(f"no answer from Redis within {self._command_timeout:g} s")
        elif self._looks >= self._health_looks:
            self.send(_PING, 1, _ignore)

    def _looks_in(self, seconds: float) -> int:
        return math.ceil(seconds / self._pause)

    def _end(self, reason: str) -> None:
        self.is_lost = True
        self._timer.cancel()
        self._asked.clear()
        for future in self._futures:
            if not future.done():
                future.set_exception(LineLost(reason))


def _ignore(_replies: list[Reply]) -> None:
    pass
