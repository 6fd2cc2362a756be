"""Reads this gateway's stream of replies."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import hiredis

from wsgw_core.api import BackendUnavailable, RareWarning

from .dead_letters import Entry
from .line import Line, Reply, ReplyCollector, pack
from .reply_delivery import ReplyDelivery

if TYPE_CHECKING:
    from .backend import RedisBackend

Command = tuple[Any, ...]

_TRIM_EVERY = 1.0  # seconds
_RECENT = 5.0  # seconds for which the reader remembers ids of entries; see `_look_back`
_MOST_RECENT = 10_000
_MUCH = 1024 * 1024  # bytes of one answer; above it the reader asks for fewer entries
_FIRST_COUNT = 32
_PAUSES = (0.1, 1.0)  # seconds between two attempts, the first and the longest
_BEGINNING = b"0-0"
_LONGEST_BLOCK = 1.0  # seconds; after it the reader creates a removed stream again


class ReplyReader:
    """Passes entries on in order, each once, while the backend is open.

    It has its own connection and reconnects after a loss. The replies wait in Redis meanwhile, so
    no session ends. One write asks for the next entries, removes those that were passed on, and
    stores the dead letters.

    The size of the last answers determines the number of entries in the next: about 1 MiB, or one
    entry.

    Args:
        backend: makes the connections.
        stream: the name of the stream.
        delivery: gets the entries; its dead letters are stored in the same write.
    """

    def __init__(self, backend: RedisBackend, stream: str, delivery: ReplyDelivery) -> None:
        settings = backend.settings
        self._stream = stream.encode()
        self._dialler = backend.dialler
        self._context = backend.context
        self._warn = RareWarning(backend.context.logger)
        self._metrics = backend.metrics
        self._dead_letters = delivery.dead_letters
        self._refusals = backend.refusals
        self._pass_on = delivery.take
        self._expiry = settings.replies_expiry
        self._max_count = settings.read_count
        self._count = min(_FIRST_COUNT, settings.read_count)
        self._block = min(_LONGEST_BLOCK, settings.health_interval / 2, settings.replies_expiry / 4)
        self._last = _BEGINNING
        self._recent: deque[tuple[float, list[bytes]]] = deque()
        self._recent_count = 0
        self._floor = _BEGINNING  # all up to this id were passed on; the recent ones are after it
        self._known: frozenset[bytes] = frozenset()
        self._trim_at = self._renew_at = 0.0
        self._is_trimmed = True
        self._received = 0
        self._letters_refused = False
        self._pause = _PAUSES[0]
        self._line: Line | None = None
        self._lost = asyncio.Event()
        self._can_read = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts to read; without effect if it has started."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def follow(self, address: str) -> None:
        """Connects at once if there is no connection; drops one to another server."""
        self._can_read.set()
        if self._line is not None and self._line.address != address:
            self._line.lose("the master is another server now")

    @property
    def creation(self) -> tuple[Command, Command, Command]:
        """The commands that create the stream unless it exists, and renew its expiry."""
        return (
            (b"XGROUP", b"CREATE", self._stream, b"wsgw", b"$", b"MKSTREAM"),
            (b"XGROUP", b"DESTROY", self._stream, b"wsgw"),
            (b"EXPIRE", self._stream, round(self._expiry)),
        )

    async def close(self) -> None:
        """Stops reading, and closes the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._line is not None:
            self._line.close()

    # Connecting

    async def _run(self) -> None:
        was_connected = False
        while True:
            try:
                self._line = await self._prepared()
            except BackendUnavailable as error:
                self._warn("cannot read replies: %s", error)
            else:
                self._metrics.reconnects.value += was_connected
                was_connected = True
                self._read()
                await self._lost.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._can_read.wait()
            self._can_read.clear()
            self._pause = min(2 * self._pause, _PAUSES[1])

    async def _prepared(self) -> Line:
        line = await self._dialler.dial()
        line.on_lost = self._note_loss
        self._lost.clear()
        self._received = 0
        try:
            await self._find_stream(line)
        except BaseException:
            line.close()
            raise
        return line

    async def _find_stream(self, line: Line) -> None:
        """Creates the stream if needed, and finds the id to read from."""
        *made, found = await line.ask(*self.creation, ("XINFO", "STREAM", self._stream))
        for reply in (made[0], made[2], found):
            if isinstance(reply, hiredis.ReplyError) and not str(reply).startswith("BUSYGROUP"):
                raise BackendUnavailable(self._refusals.take("the reply stream", reply).reason)
        fields = dict(zip(found[::2], found[1::2], strict=True))
        self._look_back(fields[b"last-generated-id"])

    def _look_back(self, newest: bytes) -> None:
        """Reads the last entries again, and skips those that were passed on.

        A replica that was late when it became the master has lost some entries. It numbers new ones
        by its own clock, so they may come before the last id.
        """
        if _number(newest) < _number(self._last):
            self._metrics.rereads.value += 1
            self._context.logger.warning(
                "the reply stream has lost entries, as after a failover to a late replica;"
                " entries added since then are not skipped"
            )
        self._known = frozenset(each for _, ids in self._recent for each in ids)
        if _number(newest) < _number(self._floor):
            self._floor = _BEGINNING
        self._last = self._floor

    def _note_loss(self, _line: Line, reason: str) -> None:
        self._lost.set()
        self._warn("lost the connection for replies: %s", reason)

    # Reading

    def _read(self) -> None:
        """Asks for the next entries, and does the upkeep that is due."""
        assert self._line is not None  # noqa: S101 - the caller's condition
        letters = self._dead_letters.commands()
        commands = letters + self._upkeep()
        has_more = len(self._dead_letters) > len(letters) and not self._letters_refused
        block = 0.001 if has_more else self._block  # 0 would wait forever
        commands.append(
            (
                *(b"XREAD", b"COUNT", self._count, b"BLOCK", int(block * 1000)),
                *(b"STREAMS", self._stream, self._last),
            )
        )
        count, stored = len(commands), len(letters)
        self._line.send(
            b"".join(map(pack, commands)),
            count,
            ReplyCollector(count, lambda replies: self._answered(replies, stored)),
            extra_timeout=self._block,
        )

    def _upkeep(self) -> list[Command]:
        now, commands = self._context.clock.time(), list[Command]()
        if not self._is_trimmed and now >= self._trim_at:
            self._trim_at = now + _TRIM_EVERY
            self._is_trimmed = True
            milliseconds, number = _number(self._last)
            behind = b"%d-%d" % (milliseconds, number + 1)
            commands.append((b"XTRIM", self._stream, b"MINID", behind))
        if now >= self._renew_at:
            self._renew_at = now + self._expiry / 4
            commands += self.creation
        return commands

    def _answered(self, replies: list[Reply], letters: int) -> None:
        line, answer = self._line, replies[-1]
        assert line is not None  # noqa: S101 - the line has just answered
        self._note_letters(replies[:letters])
        if isinstance(answer, hiredis.ReplyError):
            line.lose(self._refusals.take("XREAD", answer).reason)
            return
        self._pause = _PAUSES[0]
        size, self._received = line.received - self._received, line.received
        if answer:
            self._take(answer[0][1], size)
        else:
            self._renew_at = 0.0  # no entries for a while: check that the stream exists
        self._forget()
        if not line.is_lost:
            self._read()

    def _take(self, entries: list[Entry], size: int) -> None:
        if not entries:
            return
        ids = [entry[0] for entry in entries]
        self._last = ids[-1]
        self._is_trimmed = False
        is_caught_up = len(entries) < self._count
        self._adapt_count(len(entries), size)
        self._metrics.lag = max(0.0, time.time() - _number(self._last)[0] / 1000)
        if self._known:
            entries = [entry for entry in entries if entry[0] not in self._known]
            ids = [entry[0] for entry in entries]
        if ids:
            self._recent.append((self._context.clock.time(), ids))
            self._recent_count += len(ids)
            self._pass_on(entries)
        if is_caught_up:
            self._known = frozenset()

    def _forget(self) -> None:
        """Drops ids that are no longer recent."""
        since = self._context.clock.time() - _RECENT
        while self._recent and (self._recent[0][0] < since or self._recent_count > _MOST_RECENT):
            _, ids = self._recent.popleft()
            self._recent_count -= len(ids)
            self._floor = ids[-1]

    def _adapt_count(self, count: int, size: int) -> None:
        if size > _MUCH:
            self._count = max(1, count * _MUCH // size)
        elif count == self._count:
            self._count = min(2 * count, self._max_count)

    def _note_letters(self, replies: list[Reply]) -> None:
        """Drops the letters that Redis has stored or refuses permanently."""
        self._letters_refused = False
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                if self._refusals.take("the XADD of a dead letter", reply).is_passing:
                    self._letters_refused = True
                    return
                self._metrics.letters_lost.value += 1
            self._dead_letters.stored(1)


def _number(entry_id: bytes) -> tuple[int, int]:
    """Returns the milliseconds and the sequence number of an id, in the order of Redis."""
    milliseconds, _, number = entry_id.partition(b"-")
    return int(milliseconds), int(number)
