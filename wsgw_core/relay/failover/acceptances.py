"""Remembers which backends to call when a session ends."""

from __future__ import annotations

import asyncio

from ...api import Close, CloseCause
from ...pool.backends.backend_pool import PooledBackend


class Acceptances:
    """Calls `session_ended` of each backend that has accepted a session, if the backend has it.

    Each such backend gets one call: at the session's end, or later if it accepts only then, because
    a dial ended too late.

    Args:
        session_id: the session's.
    """

    __slots__ = ("_backends", "_end", "_session_id")

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._backends: tuple[PooledBackend, ...] = ()
        self._end: tuple[Close, CloseCause] | None = None

    def note(self, backend: PooledBackend) -> None:
        """Notes that a backend has given the session a connection."""
        if backend in self._backends or not backend.tracks_sessions:
            return
        if self._end is not None:  # two turns later, because the dialler first drops its connection
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, backend.session_ended, self._session_id, *self._end)
        # Forgets closed backends; a session may outlive many of them.
        self._backends = (*(each for each in self._backends if each.tracks_sessions), backend)

    def end(self, close: Close, cause: CloseCause) -> None:
        """Calls the backends: the session is over; only the first call counts."""
        if self._end is not None:
            return
        self._end = close, cause
        for backend in self._backends:
            backend.session_ended(self._session_id, close, cause)
