"""What a plugin says of its backend as a whole, carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol

from ...api import BackendControl, Close, CloseCode, Message, ReplyOutcome
from .backend_pool import PooledBackend


class ServedSession(Protocol):
    """A session, as its backend sees it."""

    @property
    def backend(self) -> PooledBackend | None:
        """The backend that serves it now."""
        ...

    def lose_backend(self, close: Close, /) -> None:
        """Ends the connection as if the backend had, unless it was dialled after the loss."""
        ...

    def backend_blocked(self, blocked: bool, /) -> None:
        """Stops or resumes the reading of the client, since its backend takes nothing."""
        ...


class Sessions(Protocol):
    """All sessions of a gateway."""

    def __iter__(self) -> Iterator[ServedSession]:
        """Iterates over those there are now; they may end meanwhile."""
        ...

    def deliver(self, session_id: str, message: Message, /) -> ReplyOutcome:
        """Sends the client of a session a message, as if its backend had."""
        ...


class WholeBackend:
    """The core's side of one BackendContext; without effect until `serve`.

    What concerns many sessions happens in the next turn of the loop: a plugin may call from inside
    of `send`.

    Args:
        sessions: all of the gateway.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._pooled: PooledBackend | None = None

    def serve(self, pooled: PooledBackend) -> None:
        """Acts for a backend from now on."""
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
            asyncio.get_running_loop().call_soon(self._hold_clients, self._pooled)

    def deliver(self, session_id: str, message: Message) -> ReplyOutcome:
        """See BackendContext."""
        return self._sessions.deliver(session_id, message)

    def _end_all(self, pooled: PooledBackend, close: Close) -> None:
        for session in self._sessions:
            if session.backend is pooled:
                session.lose_backend(close)

    def _hold_clients(self, pooled: PooledBackend) -> None:
        for session in self._sessions:
            if session.backend is pooled:
                session.backend_blocked(not pooled.writable)


def _is_backend_control(control: WholeBackend) -> BackendControl:
    return control  # checked by the type checker
