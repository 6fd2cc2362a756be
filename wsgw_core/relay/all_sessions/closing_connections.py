"""Connections that no session has any more, and that are still closing."""

from __future__ import annotations

import contextlib
from weakref import WeakSet


class ClosingConnections:
    """Remembers those that still hold something: what was written and not read yet, for example.

    A session is over at once, but not its connections: each is gone when its peer has answered the
    close, or after its time. Nothing is kept alive by being remembered here.
    """

    def __init__(self) -> None:
        self._connections: WeakSet[object] = WeakSet()

    def add(self, connection: object) -> None:
        """Remember a connection that was closed, if it tells that it holds anything.

        Args:
            connection: a client's end, or a BackendConnection; see HoldingConnection.
        """
        if _held_by(connection):
            with contextlib.suppress(TypeError):  # it cannot be referred to weakly
                self._connections.add(connection)

    @property
    def held_bytes(self) -> int:
        """What they hold together; those that hold nothing any more are forgotten."""
        total = 0
        for connection in tuple(self._connections):
            held = _held_by(connection)
            total += held
            if not held:
                self._connections.discard(connection)
        return total


def _held_by(connection: object) -> int:
    return getattr(connection, "held_bytes", 0)
