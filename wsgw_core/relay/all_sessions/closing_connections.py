"""Connections of ended sessions that are still closing."""

from __future__ import annotations

import contextlib
from weakref import WeakSet


class ClosingConnections:
    """Remembers connections that sessions have left and that still hold bytes in buffers.

    A session ends at once. Its connections end when their peers have answered the close, or after
    a timeout. This keeps only weak references to them.
    """

    def __init__(self) -> None:
        self._connections: WeakSet[object] = WeakSet()

    def add(self, connection: object) -> None:
        """Remembers a connection that was closed, if it says that it holds bytes.

        Args:
            connection: a ClientEnd or a BackendConnection; see HoldingConnection.
        """
        if _held_by(connection):
            with contextlib.suppress(TypeError):  # its class has no weak references
                self._connections.add(connection)

    @property
    def held_bytes(self) -> int:
        """The bytes that they hold together; forgets those that hold nothing any more."""
        total = 0
        for connection in tuple(self._connections):
            held = _held_by(connection)
            total += held
            if not held:
                self._connections.discard(connection)
        return total


def _held_by(connection: object) -> int:
    return getattr(connection, "held_bytes", 0)
