"""One connection to Redis: pipelined commands, replies in order, timeouts."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hiredis

from wsgw_core.api import BackendUnavailable, Clock

Reply = Any
"""bytes, int, None, a list of these, or hiredis.ReplyError."""
Take = Callable[[list[Reply]], object]

_LOOKS = 4  # per timeout
_SHORTEST_PAUSE = 0.005  # seconds between two looks
_MISSING = object()
pack: Callable[[tuple[Any, ...]], bytes] = hiredis.pack_command
"""Returns a command in the format of the protocol; its parts are bytes, texts and numbers."""
_PING = pack((b"PING",))
_PUSHED = (b"message", b"pmessage")


class LineLost(BackendUnavailable):
    """The connection was lost before the reply."""


@dataclass(slots=True)
class _Asked:
    """Commands of one write with one receiver of their replies."""

    take: Take
    count: int
    max_looks: int


class ReplyCollector:
    """A Take that passes on the replies to several commands when all have arrived.

    Args:
        count: number of commands.
        take: called with all replies.
    """

    __slots__ = ("_count", "_replies", "_take")

    def __init__(self, count: int, take: Callable[[list[Reply]], object]) -> None:
        self._count = count
        self._take = take
        self._replies: list[Reply] = []

    def __call__(self, some: list[Reply]) -> None:
        """Takes some of the replies."""
        self._replies += some
        if len(self._replies) == self._count:
            self._take(self._replies)


class Line(asyncio.Protocol):
    """An authenticated connection.

    No method blocks, and a command costs only packing and parsing, which hiredis does. The line is
    lost if the server sends nothing for `command_timeout` while it owes a reply. wsgw pings a
    server that is silent for `health_interval`. The line counts looks, not seconds, so that a
    gateway that was stopped for a while does not take its own sleep for the server's.

    Args:
        writer: connected; its transport gets another protocol.
        address: of the server: host and port, or file.
        clock: schedules the looks.
        command_timeout: seconds without an answer until the line is lost.
        health_interval: seconds of silence until a ping.

    Attributes:
        address: see above.
        is_lost: nothing can be sent any more.
        received: bytes so far.
        on_lost: called once with the line and a reason, but not after `close`.
        on_writable: called with False when too many bytes wait to be written, then with True.
        on_pushed: called with each message of a channel; None: the line has no channels.
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
        self._pause = max(min(command_timeout, health_interval) / _LOOKS, _SHORTEST_PAUSE)
        self._max_looks = self._looks_in(command_timeout)
        self._health_looks = self._looks_in(health_interval)
        self._looks = 0  # since the last bytes of the server, or the first command after a pause
        self._reader = hiredis.Reader(notEnoughData=_MISSING)
        self._asked: deque[_Asked] = deque()
        self._futures: set[asyncio.Future[list[Reply]]] = set()
        self._writer = writer  # closes the transport when it is garbage-collected
        self._transport = writer.transport
        self._transport.set_protocol(self)
        self._timer = clock.call_later(self._pause, self._look)

    # Commands

    def send(self, packed: bytes, count: int, take: Take, *, extra_timeout: float = 0.0) -> None:
        """Sends commands.

        Args:
            packed: the commands in the format of the protocol.
            count: number of commands.
            take: called with the replies in order, one or more at a time.
            extra_timeout: seconds that the server may take beyond `command_timeout`.
        """
        if self.is_lost:
            return
        if not self._asked:
            self._looks = 0
        looks = self._max_looks
        if extra_timeout:
            looks += self._looks_in(extra_timeout)
        self._asked.append(_Asked(take, count, looks))
        self._transport.write(packed)

    async def ask(self, *commands: tuple[Any, ...]) -> list[Reply]:
        """Sends commands and returns the replies, including errors.

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
        self.send(packed, len(commands), ReplyCollector(len(commands), answer))
        try:
            return await future
        finally:
            self._futures.discard(future)

    def close(self) -> None:
        """Closes at once, also if the server does not read, without a call of `on_lost`."""
        self.on_lost = None
        self.lose("the connection is closed")

    def lose(self, reason: str) -> None:
        """Drops the connection, which counts as lost from now on."""
        if not self.is_lost:
            self._end(reason)
            self._transport.abort()
            if self.on_lost is not None:
                self.on_lost(self, reason)

    # Called by the transport

    def data_received(self, data: bytes) -> None:
        """Parses bytes of the server."""
        self._looks = 0
        self.received += len(data)
        gets, replies = self._reader.gets, []
        try:
            self._reader.feed(data)
            while (reply := gets()) is not _MISSING:
                replies.append(reply)
        except hiredis.ProtocolError:
            self.lose("the server does not speak the protocol of Redis")
            return
        if self.on_pushed is not None:
            replies = self._without_pushed(replies)
        self._hand_over(replies)

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.lose(f"connection lost: {error}" if error else "Redis closed the connection")

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        if self.on_writable is not None:
            self.on_writable(False)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self.on_writable is not None:
            self.on_writable(True)

    def limit_writes(self, high: int) -> None:
        """Sets the bytes that may wait to be written before `on_writable(False)`."""
        self._transport.set_write_buffer_limits(high)

    # Inside

    def _hand_over(self, replies: list[Reply]) -> None:
        asked, start = self._asked, 0
        while start < len(replies) and not self.is_lost:
            if not asked:
                self.lose("Redis sent a reply without a command")
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
            if self._looks > self._asked[0].max_looks:
                self.lose(f"no answer from Redis within {self._command_timeout:g} s")
        elif self._looks >= self._health_looks:
            self.send(_PING, 1, lambda _replies: None)

    def _looks_in(self, seconds: float) -> int:
        return math.ceil(seconds / self._pause)

    def _end(self, reason: str) -> None:
        self.is_lost = True
        self._timer.cancel()
        self._asked.clear()
        for future in self._futures:
            if not future.done():
                future.set_exception(LineLost(reason))
