"""All sessions of one gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .session import Session


class SessionTable:
    """Sessions by id, from the opening of the client's connection to their end."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def add(self, session: Session) -> None:
        """Take a session whose client has been answered."""
        self._sessions[session.id] = session

    def remove(self, session: Session) -> None:
        """Forget a session."""
        self._sessions.pop(session.id, None)

    def get(self, session_id: str) -> Session | None:
        """Return the session of an id."""
        return self._sessions.get(session_id)

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        """Iterate over those there are now; they may end meanwhile."""
        return iter(tuple(self._sessions.values()))
