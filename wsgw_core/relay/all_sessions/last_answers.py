"""Closes clients of a gateway that stops when they have the answers that they are owed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...api import Clock

if TYPE_CHECKING:
    from ..session.session import Session

_LOOK = 0.02  # seconds


class LastAnswers:
    """Holds back the close of each client until its backend has answered what it was given.

    The client is not read meanwhile, so that it gives the backend nothing new.

    Args:
        clock: time and timers.
        timeout: seconds after which a client is closed without the answers.
        close: closes the client of a session.

    Attributes:
        missed: clients that were closed without them.
    """

    def __init__(self, clock: Clock, timeout: float, close: Callable[[Session], None]) -> None:
        self._clock = clock
        self._timeout = timeout
        self._close = close
        self._waiting: dict[Session, float] = {}  # until when
        self._timer: asyncio.TimerHandle | None = None
        self._none_waits = asyncio.Event()
        self._none_waits.set()
        self.missed = 0

    def close_after(self, session: Session) -> None:
        """Close the client of a session: at once if no answer is owed to it."""
        if session in self._waiting:
            return
        if not session.pause_for_answers():
            self._close(session)
            return
        self._waiting[session] = self._clock.time() + self._timeout
        self._none_waits.clear()
        if self._timer is None:
            self._timer = self._clock.call_later(_LOOK, self._look)

    async def until_closed(self) -> None:
        """Return when no client waits for answers any more."""
        await self._none_waits.wait()

    def stop(self) -> None:
        """Look no more; the clients that wait are not closed."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        now = self._clock.time()
        for session, deadline in tuple(self._waiting.items()):
            owing = session.owes_answers
            if now >= deadline or not owing:
                del self._waiting[session]
                self.missed += owing
                self._close(session)
        if self._waiting:
            self._timer = self._clock.call_later(_LOOK, self._look)
        else:
            self._none_waits.set()
