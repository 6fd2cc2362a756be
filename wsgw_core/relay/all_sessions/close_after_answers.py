"""Closes each client of a stopping gateway when it has the answers to its messages."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ...api import Clock

_INTERVAL = 0.02  # seconds between two looks at the sessions


class AnsweredSession(Protocol):
    """What this module needs of a session."""

    @property
    def awaits_answers(self) -> bool:
        """Whether the client still waits for answers."""
        ...

    def pause_for_answers(self) -> bool:
        """Pauses reading the client if it waits for answers; returns whether it does."""
        ...

    def close_client(self, code: int, reason: str = "") -> None:
        """Closes the client."""
        ...


class CloseAfterAnswers:
    """Delays the close of each client until its backend has answered the client's messages.

    Meanwhile reading the client is paused, so that it sends the backend nothing new.

    Args:
        clock: time and timers.
        timeout: seconds after which a client is closed without its answers.
        code, reason: the close for the clients.

    Attributes:
        missed: how many clients were closed without their answers.
    """

    def __init__(self, clock: Clock, timeout: float, code: int, reason: str) -> None:
        self._clock = clock
        self._timeout = timeout
        self._code = code
        self._reason = reason
        self._waiting: dict[AnsweredSession, float] = {}  # each with its deadline
        self._timer: asyncio.TimerHandle | None = None
        self._none_waits = asyncio.Event()
        self._none_waits.set()
        self.missed = 0

    def close_after(self, session: AnsweredSession) -> None:
        """Closes the client of a session after its answers; at once if it waits for none."""
        if session in self._waiting:
            return
        if not session.pause_for_answers():
            session.close_client(self._code, self._reason)
            return
        self._waiting[session] = self._clock.time() + self._timeout
        self._none_waits.clear()
        if self._timer is None:
            self._timer = self._clock.call_later(_INTERVAL, self._look)

    async def until_closed(self) -> None:
        """Waits until no client waits for answers any more."""
        await self._none_waits.wait()

    def stop(self) -> None:
        """Stops waiting; clients that still wait are not closed."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        now = self._clock.time()
        for session, deadline in tuple(self._waiting.items()):
            waits = session.awaits_answers
            if now >= deadline or not waits:
                del self._waiting[session]
                self.missed += waits
                session.close_client(self._code, self._reason)
        if self._waiting:
            self._timer = self._clock.call_later(_INTERVAL, self._look)
        else:
            self._none_waits.set()
