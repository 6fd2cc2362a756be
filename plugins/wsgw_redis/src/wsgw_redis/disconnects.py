"""Disconnect events that Redis has not stored yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from wsgw_core.api import BackendContext, BackendUnavailable, Close, CloseCause

from .event_entry import EventEntries
from .line import Reply
from .link import Link
from .metrics import RedisMetrics
from .publisher import Publisher
from .refusal import Refusal, RefusalLog

_MOST = 10_000
_PAUSE = 1.0  # seconds between two attempts to connect


class Disconnects:
    """Keeps disconnect events until Redis has stored them, also while it is away; at most 10,000.

    Args:
        get_link: returns the link, or connects; raises BackendUnavailable.
        context: the backend's.
        metrics: counts lost events.
        refusals: logs them.
    """

    def __init__(
        self,
        get_link: Callable[[], Awaitable[Link]],
        context: BackendContext,
        metrics: RedisMetrics,
        refusals: RefusalLog,
    ) -> None:
        self._get_link = get_link
        self._clock = context.clock
        self._logger = context.logger
        self._metrics = metrics
        self._refusals = refusals
        self._pending: dict[int, _Event] = {}
        self._last_number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()  # no event waits, or the link is lost

    def add(
        self, entries: EventEntries, close: Close, cause: CloseCause, link: Link | None
    ) -> None:
        """Adds the event for the end of a session; it goes to Redis at once if there is a link."""
        if len(self._pending) >= _MOST:
            self._give_up(f"more than {_MOST} disconnect events wait for Redis")
            return
        self._last_number += 1
        event = self._pending[self._last_number] = _Event(entries, close, cause)
        if link is not None:
            self._write(link.publisher, self._last_number, event)
        else:
            self._try_soon()

    @property
    def are_waiting(self) -> bool:
        """Whether Redis has not stored all events."""
        return bool(self._pending)

    def link_made(self, link: Link) -> None:
        """Writes all waiting events, including those that the last link may have lost."""
        for number, event in self._pending.items():
            self._write(link.publisher, number, event)

    def link_lost(self) -> None:
        """Connects again after a while if events wait and nothing else connects."""
        self._news.set()
        if self._pending:
            self._try_soon()

    async def until_stored(self, link: Link) -> None:
        """Waits until all events are stored or the link is lost."""
        while self._pending and not link.is_lost:
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        """Drops the events that still wait, and logs how many."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if count := len(self._pending):
            self._pending.clear()
            self._metrics.disconnects_lost.value += count
            self._logger.warning("lost %d disconnect events that Redis has not confirmed", count)

    # See Sender

    def stored(self, number: int, _reply: Reply) -> None:
        """See Sender."""
        self._pending.pop(number, None)
        if not self._pending:
            self._news.set()

    def rejected(self, number: int, refusal: Refusal) -> bool:
        """See Sender. Drops an event that Redis refuses permanently."""
        if refusal.is_passing:
            return False
        if self._pending.pop(number, None) is not None:
            self._give_up(refusal.reason)
        if not self._pending:
            self._news.set()
        return True

    # Inside

    def _write(self, publisher: Publisher, number: int, event: _Event) -> None:
        command = event.entries.disconnect(event.close, event.cause, replayed=event.is_asked)
        event.is_asked = True
        publisher.add(self, number, command)

    def _give_up(self, reason: str) -> None:
        self._metrics.disconnects_lost.value += 1
        self._refusals.note("the XADD of a disconnect event", reason)

    def _try_soon(self) -> None:
        if self._timer is None:
            self._timer = self._clock.call_later(_PAUSE, self._try)

    def _try(self) -> None:
        self._timer = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self._get_link()
        except BackendUnavailable:
            self._try_soon()
        finally:
            self._task = None


@dataclass(slots=True)
class _Event:
    """The end of one session."""

    entries: EventEntries
    close: Close
    cause: CloseCause
    is_asked: bool = False  # Redis may already have it
