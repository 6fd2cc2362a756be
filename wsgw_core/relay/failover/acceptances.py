"""The backends that hear of a session's end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ...api import Close, CloseCause

if TYPE_CHECKING:
    from ...pool.backends.backend_pool import PooledBackend


class Acceptances:
    """Remembers which backends have accepted a session and want to hear of its end.

    Each hears of it once: those that have accepted it before, and those that do so afterwards,
    because a dial was over too late.

    Args:
        session_id: what they are told.
    """

    __slots__ = ("_backends", "_end", "_session_id")

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._backends: tuple[PooledBackend, ...] = ()
        self._end: tuple[Close, CloseCause] | None = None

    def note(self, backend: PooledBackend) -> None:
        """Note that a backend has given the session a connection."""
        if backend in self._backends or not backend.hears_ends:
            return
        if self._end is not None:  # later: its connection is dropped first
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, backend.session_ended, self._session_id, *self._end)
        # closed ones hear nothing; a session may outlive many
        self._backends = (*(each for each in self._backends if each.hears_ends), backend)

    def end(self, close: Close, cause: CloseCause) -> None:
        """Tell all that the session is over."""
        if self._end is not None:
            return
        self._end = close, cause
        for backend in self._backends:
            backend.session_ended(self._session_id, close, cause)
