"""All sessions of one gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...api import Message, ReplyOutcome
from ...control.event_stream import EventStream
from ...spread_calls import SpreadCalls
from .closing_connections import ClosingConnections

if TYPE_CHECKING:
    from ..session.session import Session


class SessionTable:
    """The sessions of one gateway by id, from the answer to their client until their end.

    Args:
        events: where the sessions' events are published.

    Attributes:
        events: see above.
        closing: connections of ended sessions that are still closing.
        client_ends: through it, sessions learn of the ends of their clients.
    """

    def __init__(self, events: EventStream | None = None) -> None:
        self.events = events or EventStream()
        self._sessions: dict[str, Session] = {}
        self.closing = ClosingConnections()
        self.client_ends = SpreadCalls()
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, session: Session) -> None:
        """Adds a session whose client was answered."""
        self._sessions[session.id] = session
        self._empty.clear()

    def remove(self, session: Session) -> None:
        """Removes a session that has ended."""
        self._sessions.pop(session.id, None)
        if not self._sessions:
            self._empty.set()

    def get(self, session_id: str) -> Session | None:
        """Returns the session of an id; None: there is none."""
        return self._sessions.get(session_id)

    def deliver(self, session_id: str, message: Message) -> ReplyOutcome:
        """Sends a message to the client of a session, as if its backend had sent it."""
        session = self._sessions.get(session_id)
        if session is None:
            return ReplyOutcome.UNKNOWN_SESSION
        return session.send_to_client(message)

    async def until_empty(self, timeout: float) -> None:  # noqa: ASYNC109 - plain enough
        """Waits until no session is left, at most `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._empty.wait()

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        """Iterates over the present sessions; some may end meanwhile."""
        return iter(tuple(self._sessions.values()))
