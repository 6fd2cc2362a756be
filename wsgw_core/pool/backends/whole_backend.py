"""Carries out what a plugin reports about its whole backend."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol

from ...api import Close, CloseCode, Message, ReplyOutcome
from .backend_pool import PooledBackend


class ServedSession(Protocol):
    """A session as its backend sees it."""

    @property
    def backend(self) -> PooledBackend | None:
        """The backend that serves it now."""

    def lose_backend(self, close: Close, /) -> None:
        """Ends the connection as if the backend had; not one that was dialled after the loss."""

    def backend_blocked(self, blocked: bool, /) -> None:
        """Stops or resumes reading the client, because its backend takes no messages."""


class Sessions(Protocol):
    """All sessions of a gateway."""

    def __iter__(self) -> Iterator[ServedSession]:
        """Iterates over the present sessions; they may end meanwhile."""

    def deliver(self, session_id: str, message: Message, /) -> ReplyOutcome:
        """Sends a session's client a message, as if its backend had."""


class WholeBackend:
    """Implements BackendControl for one backend; without effect until `serve`.

    What concerns many sessions happens in the next turn of the loop, because a plugin may call
    these methods from inside `send`.

    Args:
        sessions: all sessions of the gateway.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._pooled: PooledBackend | None = None

    def serve(self, pooled: PooledBackend) -> None:
        """Sets the backend for which it acts."""
        self._pooled = pooled

    def down(self, reason: str) -> None:
        """See BackendContext."""
        if self._pooled is None:
            return
        loop = asyncio.get_running_loop()
        self._pooled.losses += 1
        self._pooled.go_down(loop.time(), reason)
        loop.call_soon(
            self._end_all, self._pooled, Close(CloseCode.TRY_AGAIN_LATER, reason, abnormal=True)
        )
        self.writable(True)

    def up(self) -> None:
        """See BackendContext."""
        if self._pooled is not None:
            self._pooled.come_up()

    def writable(self, writable: bool, /) -> None:
        """See BackendContext."""
        if self._pooled is not None and self._pooled.writable != writable:
            self._pooled.writable = writable
            asyncio.get_running_loop().call_soon(self._block_clients, self._pooled)

    def deliver(self, session_id: str, message: Message) -> ReplyOutcome:
        """See BackendContext."""
        return self._sessions.deliver(session_id, message)

    def _end_all(self, pooled: PooledBackend, close: Close) -> None:
        for session in self._sessions:
            if session.backend is pooled:
                session.lose_backend(close)

    def _block_clients(self, pooled: PooledBackend) -> None:
        for session in self._sessions:
            if session.backend is pooled:
                session.backend_blocked(not pooled.writable)
