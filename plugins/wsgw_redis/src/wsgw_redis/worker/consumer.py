"""Reads events as one worker of a group."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .answers import Fields
from .event import Event, InvalidEvent

# The stream was removed, and the group with it; UNBLOCKED: while this worker waited.
_GROUP_GONE = ("NOGROUP", "UNBLOCKED")
_LOST = (RedisConnectionError, RedisTimeoutError, OSError)
# Temporary errors of a server that answers; redis-py has classes for some.
_NOT_NOW = (OutOfMemoryError, ReadOnlyError, MasterDownError)
_NOT_NOW_WORDS = ("NOREPLICAS ", "MISCONF ", "BUSY ")
_PAUSES = (0.05, 1.0)  # seconds between attempts to reach Redis
_SEEN = 3600  # seconds for which the group remembers a session's last handled message

Entries = list[tuple[bytes, dict[bytes, bytes] | None]]


async def consume(redis: Redis, stream: str, **options: Any) -> AsyncIterator[Event]:
    """Yields events forever; the arguments are those of Consumer.

    Acknowledge each event. After `claim_idle` an event without acknowledgement comes again, to this
    worker or another one of the group. Redis may be lost, restarted or replaced meanwhile.
    """
    consumer = Consumer(redis, stream, **options)
    try:
        async for event in consumer:
            yield event
    finally:
        await consumer.close()


class Consumer:
    """One worker of a group.

    Args:
        redis: a client that does not decode responses.
        stream: the event stream.
        group: the group's name; it is created if needed, and begins with the oldest entry.
        consumer: the worker's name in the group: unique, and the same after a restart.
        count: maximum entries in one read.
        block: seconds to wait for new entries.
        claim_idle: seconds after which another worker gets an entry that this one has not
            acknowledged; choose it longer than any event takes.
        max_deliveries: how often workers get an entry before it becomes a dead letter.
        dead_letters: the stream for dead letters.
        ordered: for workers that handle events concurrently: an event of a session waits until the
            earlier ones are acknowledged. It does not order sessions that several workers share.

    Attributes:
        trimmed: entries that were removed from the stream before their acknowledgement.
        poisoned: entries that have become dead letters because no worker has survived them.
        invalid: entries that have become dead letters because they are not events.
        unanswered: replies whose stream did not exist; see `Event.unanswered`.
    """

    def __init__(  # noqa: PLR0913 - one for each option
        self,
        redis: Redis,
        stream: str,
        *,
        group: str,
        consumer: str = "",
        count: int = 100,
        block: float = 5.0,
        claim_idle: float = 30.0,
        max_deliveries: int = 5,
        dead_letters: str = "wsgw:dead-letters",
        ordered: bool = False,
    ) -> None:
        options = redis.connection_pool.connection_kwargs
        if options.get("decode_responses"):
            raise ValueError("data may be binary: remove decode_responses from the client")
        socket_timeout = options.get("socket_timeout")
        self.trimmed = 0
        self.poisoned = 0
        self.invalid = 0
        self.unanswered = 0
        self._redis = redis
        self._stream = stream
        self._group = group
        self._name = consumer or socket.gethostname()
        self._count = count
        self._block = min(block, socket_timeout / 2) if socket_timeout else block
        self._claim_idle = claim_idle
        self._max_deliveries = max_deliveries
        self._dead_letters = dead_letters
        self._ordered = ordered
        self._ready: deque[Event] = deque()
        self._open: dict[bytes, Event] = {}  # yielded or waiting, and not acknowledged
        self._waiting: dict[str, deque[Event]] = {}  # by busy session
        self._claim_at = 0.0
        self._own_from: str | bytes | None = "0"  # own pending entries are read from here
        self._has_group = False
        self._changed = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[Event]:
        """Iterates over the events."""
        return self

    async def __anext__(self) -> Event:
        """Waits for the next event and returns it."""
        pause = _PAUSES[0]
        while not self._ready:
            try:
                await self._read()
                pause = _PAUSES[0]
            except (*_LOST, ResponseError) as error:
                if not _passes(error):
                    raise
                self._own_from = "0"  # read unacknowledged entries again
                await asyncio.sleep(pause)
                pause = min(2 * pause, _PAUSES[1])
        return self._ready.popleft()

    async def close(self) -> None:
        """Leaves the group, unless this worker has unacknowledged entries."""
        try:
            pending = await self._redis.xpending_range(
                self._stream, self._group, "-", "+", 1, self._name
            )
            if not pending:
                await self._redis.xgroup_delconsumer(self._stream, self._group, self._name)
        except (*_LOST, ResponseError):
            pass  # a consumer without entries does no harm

    # Reading

    async def _read(self) -> None:
        if not self._has_group:
            await self._make_group()
        try:
            if self._own_from is not None:
                await self._read_own()
            elif time.monotonic() >= self._claim_at:
                self._claim_at = time.monotonic() + self._claim_idle / 2
                await self._claim()
            elif self._is_full:
                await self._wait()
            else:
                await self._take(await self._read_group(">", self._block), {})
        except ResponseError as error:
            if not str(error).startswith(_GROUP_GONE):
                raise
            self._has_group = False

    @property
    def _is_full(self) -> bool:
        return sum(map(len, self._waiting.values())) >= self._count

    async def _wait(self) -> None:
        """Waits for an acknowledgement, or until something can be claimed."""
        self._changed.clear()
        try:
            async with asyncio.timeout(max(0.0, self._claim_at - time.monotonic())):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _make_group(self) -> None:
        try:
            await self._redis.xgroup_create(self._stream, self._group, "0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        self._has_group = True

    async def _read_group(self, start: str | bytes, block: float | None) -> Entries:
        answer: Any = await self._redis.xreadgroup(
            self._group,
            self._name,
            {self._stream: start},
            self._count,
            None if block is None else max(1, int(block * 1000)),
        )
        return _entries(answer)

    async def _read_own(self) -> None:
        """Reads this worker's own unacknowledged entries."""
        assert self._own_from is not None  # noqa: S101 - the caller's condition
        entries = await self._read_group(self._own_from, None)
        if not entries:
            self._own_from = None
            return
        await self._take(entries, await self._deliveries(entries))
        self._own_from = entries[-1][0]

    async def _claim(self) -> None:
        """Takes over entries that any worker has left unacknowledged for `claim_idle`."""
        start: Any = "0-0"
        while True:
            answer: Any = await self._redis.xautoclaim(
                self._stream,
                self._group,
                self._name,
                int(self._claim_idle * 1000),
                start,
                self._count,
            )
            start, entries, *deleted = answer
            self.trimmed += len(deleted[0]) if deleted else 0
            if None in (entry_id for entry_id, _ in entries):  # deleted, Redis 6.2
                self._own_from = "0"
            known: Entries = [entry for entry in entries if entry[0] is not None]
            for entry_id, _ in known:
                self._forget(entry_id)
            await self._take(known, await self._deliveries(known))
            if start in (b"0-0", "0-0"):
                return

    async def _deliveries(self, entries: Entries) -> dict[bytes, int]:
        if not entries:
            return {}
        found: Any = await self._redis.xpending_range(
            self._stream, self._group, entries[0][0], entries[-1][0], 10 * self._count, self._name
        )
        return {each["message_id"]: each["times_delivered"] for each in found}

    async def _take(self, entries: Entries, deliveries: dict[bytes, int]) -> None:
        events = []
        for entry_id, fields in entries:
            if entry_id in self._open:
                continue
            if not fields:
                self.trimmed += 1
                await self._redis.xack(self._stream, self._group, entry_id)
                continue
            count = deliveries.get(entry_id, 1)
            if count > self._max_deliveries:
                self.poisoned += 1
                await self._bury(entry_id, fields, {b"why": b"poison", b"deliveries": count})
                continue
            try:
                events.append(Event(entry_id, fields, count, self._acknowledge))
            except InvalidEvent as error:
                self.invalid += 1
                await self._bury(entry_id, fields, {b"why": b"invalid", b"detail": str(error)})
        await self._find_seen([event for event in events if event.replayed])
        for event in events:
            self._offer(event)

    async def _bury(
        self, entry_id: bytes, fields: dict[bytes, bytes], why: dict[bytes, bytes | str | int]
    ) -> None:
        """Turns an entry into a dead letter."""
        letter = {**fields, **why, b"entry": entry_id}
        both: Any
        async with self._redis.pipeline(transaction=True) as both:
            both.xadd(self._dead_letters, letter)
            both.xack(self._stream, self._group, entry_id)
            both.xdel(self._stream, entry_id)
            await both.execute()

    async def _find_seen(self, replayed: list[Event]) -> None:
        if replayed:
            last = await self._redis.mget([self._seen_key(event.session) for event in replayed])
            for event, number in zip(replayed, last, strict=True):
                handled = int(number) if number is not None and number.isdigit() else 0
                event.seen = 0 < event.number <= handled

    def _seen_key(self, session: str) -> str:
        return f"{self._group}:seen:{session}"

    # Handing out

    def _offer(self, event: Event) -> None:
        self._open[event.entry_id] = event
        if not self._ordered:
            self._ready.append(event)
        elif event.session in self._waiting:
            self._waiting[event.session].append(event)
        else:
            self._waiting[event.session] = deque()
            self._ready.append(event)

    async def _acknowledge(self, event: Event, replies: list[Fields], delete: bool) -> bool:
        try:
            together: Any
            async with self._redis.pipeline(transaction=True) as together:
                for fields in replies:
                    together.xadd(event.reply_stream, fields, nomkstream=True)
                together.xack(self._stream, self._group, event.entry_id)
                if delete:
                    together.xdel(self._stream, event.entry_id)
                if event.number:
                    together.set(self._seen_key(event.session), event.number, ex=_SEEN)
                results = await together.execute(raise_on_error=False)
        except (*_LOST, ResponseError) as error:
            if not _passes(error):
                raise
            self._own_from = "0"
            return False
        finally:
            self._forget(event.entry_id)
        # None: the stream does not exist. An error: the key is not a stream. The event is
        # acknowledged in both cases, so raising would end a worker for nothing.
        stored = sum(isinstance(result, bytes | str) for result in results[: len(replies)])
        event.unanswered = len(replies) - stored
        self.unanswered += event.unanswered
        for result in results[len(replies) :]:
            if isinstance(result, Exception):
                raise result
        return True

    def _forget(self, entry_id: bytes) -> None:
        """Forgets an event, and makes the next one of its session ready."""
        event = self._open.pop(entry_id, None)
        if event is None or not self._ordered:
            return
        waiting = self._waiting.get(event.session)
        if waiting is None:
            return
        if event in waiting:
            waiting.remove(event)
        elif waiting:
            self._ready.append(waiting.popleft())
        else:
            del self._waiting[event.session]
        self._changed.set()


def _passes(error: Exception) -> bool:
    """Returns whether to retry: Redis is away, or refuses temporarily."""
    if isinstance(error, (*_LOST, *_NOT_NOW)):
        return True
    return any(word in str(error) for word in _NOT_NOW_WORDS)


def _entries(answer: Any) -> Entries:
    """Returns the entries of the stream, for RESP2 and RESP3."""
    if not answer:
        return []
    found = next(iter(answer.values())) if isinstance(answer, dict) else answer[0][1]
    if found and isinstance(found[0], list):
        found = found[0]
    return [(entry_id, fields) for entry_id, fields in found]
