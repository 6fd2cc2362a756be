"""Closes all clients when the gateway stops, spread over some time."""

from __future__ import annotations

import asyncio
from typing import Protocol

from .session_table import SessionTable

_INTERVAL = 0.02  # seconds between two looks at the clients that wait for answers


async def close_all_sessions(
    table: SessionTable, code: int, reason: str, *, over: float, answer_timeout: float
) -> int:
    """Closes each client, spread over some time so that they do not all come back at once.

    Returns when the last close was sent, or no session is left.

    Args:
        table: the sessions; no new ones may be added.
        code: the close code for the clients.
        reason: the reason for the clients.
        over: approximate seconds between the first and the last close.
        answer_timeout: seconds to wait for the answers to a client's messages, where it is known
            that the backend answers them.

    Returns:
        The number of clients that were closed without their answers.
    """
    answers = _CloseAfterAnswers(code, reason, answer_timeout)
    sessions = tuple(table)
    now = asyncio.get_running_loop().time
    begin = now()
    for number, session in enumerate(sessions):
        await answers.wait_until(begin + over * number / len(sessions))
        if not len(table):
            break
        answers.close(session)
    for session in table:
        answers.close(session)
    while answers.waiting:
        await answers.wait_until(now() + _INTERVAL)
    return answers.missed


class _AnsweredSession(Protocol):
    """What this module needs of a session."""

    @property
    def awaits_answers(self) -> bool: ...

    def pause_for_answers(self) -> bool: ...

    def close_client(self, code: int, reason: str = "") -> None: ...


class _CloseAfterAnswers:
    """Closes each client as soon as its backend has answered the client's messages.

    Meanwhile reading the client is paused, so that it sends the backend nothing new.
    """

    def __init__(self, code: int, reason: str, timeout: float) -> None:
        self._code = code
        self._reason = reason
        self._timeout = timeout
        self._now = asyncio.get_running_loop().time
        self.waiting: dict[_AnsweredSession, float] = {}  # each with its deadline
        self.missed = 0  # closed without their answers

    def close(self, session: _AnsweredSession) -> None:
        if session in self.waiting:
            return
        if session.pause_for_answers():
            self.waiting[session] = self._now() + self._timeout
        else:
            session.close_client(self._code, self._reason)

    async def wait_until(self, until: float) -> None:
        """Closes those that have their answers, until the loop's time has come."""
        while (left := until - self._now()) > 0:
            await asyncio.sleep(min(left, _INTERVAL) if self.waiting else left)
            self._look()

    def _look(self) -> None:
        now = self._now()
        for session, deadline in tuple(self.waiting.items()):
            waits = session.awaits_answers
            if now >= deadline or not waits:
                del self.waiting[session]
                self.missed += waits
                session.close_client(self._code, self._reason)
