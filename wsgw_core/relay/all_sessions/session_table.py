"""All sessions of one gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...api import Message, ReplyOutcome
from ...control.event_stream import EventStream
from .closing_connections import ClosingConnections

if TYPE_CHECKING:
    from ..session.session import Session


class SessionTable:
    """Sessions by id, from the opening of the client's connection to their end.

    Args:
        events: told of what happens to them.

    Attributes:
        events: see above.
        closing: the connections that ended sessions have left.
    """

    def __init__(self, events: EventStream | None = None) -> None:
        self.events = events or EventStream()
        self._sessions: dict[str, Session] = {}
        self.closing = ClosingConnections()
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, session: Session) -> None:
        """Take a session whose client has been answered."""
        self._sessions[session.id] = session
        self._empty.clear()

    def remove(self, session: Session) -> None:
        """Forget a session."""
        self._sessions.pop(session.id, None)
        if not self._sessions:
            self._empty.set()

    def get(self, session_id: str) -> Session | None:
        """Return the session of an id."""
        return self._sessions.get(session_id)

    def deliver(self, session_id: str, message: Message) -> ReplyOutcome:
        """Send the client of a session a message, as if its backend had."""
        session = self._sessions.get(session_id)
        if session is None:
            return ReplyOutcome.UNKNOWN_SESSION
        return session.send_to_client(message)

    async def until_empty(self, timeout: float) -> None:  # noqa: ASYNC109 - plain enough
        """Wait until there is none, at most `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._empty.wait()

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        """Iterate over those there are now; they may end meanwhile."""
        return iter(tuple(self._sessions.values()))
