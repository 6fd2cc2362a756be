"""Disconnect events that Redis does not have yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from wsgw_core.api import BackendContext, BackendUnavailable, Close, CloseCause

from .event_entry import EventEntries
from .line import Reply
from .link import Link
from .measures import Measures
from .publisher import Publisher
from .refusal import Refusal, RefusalLog

_MOST = 10_000
_PAUSE = 1.0  # seconds between two attempts to connect for their sake


class Disconnects:
    """Keeps each event until it is stored, also while Redis is away: 10,000 of them at most.

    Args:
        get_link: connects where there is no link; raises BackendUnavailable.
        context: of the backend.
        measures: counts those that are given up.
        refusals: tells operators of them.
    """

    def __init__(
        self,
        get_link: Callable[[], Awaitable[Link]],
        context: BackendContext,
        measures: Measures,
        refusals: RefusalLog,
    ) -> None:
        self._get_link = get_link
        self._clock = context.clock
        self._logger = context.logger
        self._measures = measures
        self._refusals = refusals
        self._owed: dict[int, _Owed] = {}
        self._last_number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()  # nothing is owed, or the link is lost

    def owe(
        self, entries: EventEntries, close: Close, cause: CloseCause, link: Link | None
    ) -> None:
        """Has the end of a session stored, now if there is a link."""
        if len(self._owed) >= _MOST:
            self._give_up(f"more than {_MOST} disconnect events wait for Redis")
            return
        self._last_number += 1
        owed = self._owed[self._last_number] = _Owed(entries, close, cause)
        if link is not None:
            self._write(link.publisher, self._last_number, owed)
        else:
            self._try_soon()

    def link_made(self, link: Link) -> None:
        """Writes all that is owed, what may have been lost with the last link too."""
        for number, owed in self._owed.items():
            self._write(link.publisher, number, owed)

    def link_lost(self) -> None:
        """Connects for the sake of what is owed, if nobody else does."""
        self._news.set()
        if self._owed:
            self._try_soon()

    async def until_stored(self, link: Link) -> None:
        """Waits until nothing is owed, or the link is lost."""
        while self._owed and not link.is_lost:
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        """Gives up what is owed."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if count := len(self._owed):
            self._owed.clear()
            self._measures.disconnects_lost.value += count
            self._logger.warning(
                "closed with %d disconnect events that Redis has not confirmed", count
            )

    # See Sender

    def stored(self, number: int, _reply: Reply) -> None:
        """See Sender."""
        self._owed.pop(number, None)
        if not self._owed:
            self._news.set()

    def rejected(self, number: int, refusal: Refusal) -> bool:
        """See Sender: what is refused for ever is given up."""
        if refusal.is_passing:
            return False
        if self._owed.pop(number, None) is not None:
            self._give_up(refusal.reason)
        if not self._owed:
            self._news.set()
        return True

    # Inside

    def _write(self, publisher: Publisher, number: int, owed: _Owed) -> None:
        command = owed.entries.disconnect(owed.close, owed.cause, replayed=owed.is_asked)
        owed.is_asked = True
        publisher.add(self, number, command)

    def _give_up(self, reason: str) -> None:
        self._measures.disconnects_lost.value += 1
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


class _Owed:
    """The end of one session."""

    __slots__ = ("cause", "close", "entries", "is_asked")

    def __init__(self, entries: EventEntries, close: Close, cause: CloseCause) -> None:
        self.entries = entries
        self.close = close
        self.cause = cause
        self.is_asked = False
