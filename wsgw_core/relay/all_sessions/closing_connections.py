"""Connections of ended sessions that are still closing."""

from __future__ import annotations

import contextlib
from typing import Protocol
from weakref import WeakKeyDictionary, WeakSet

from ...pool.backends.backend_pool import PooledBackend
from ...pool.backends.guarded_connection import GuardedConnection, reported_by


class ClosingClient(Protocol):
    """What this module needs of a client."""

    @property
    def held_bytes(self) -> int:
        """Bytes that wait."""


class ClosingConnections:
    """Remembers connections that sessions have left and that still hold bytes in buffers.

    A session ends at once. Its connections end when their peers have answered the close, or after
    a timeout. This keeps only weak references to them.
    """

    def __init__(self) -> None:
        self._clients: WeakSet[ClosingClient] = WeakSet()
        # What plugins have made, because nothing else keeps the guard of such a connection.
        self._of_backends: WeakKeyDictionary[object, PooledBackend] = WeakKeyDictionary()

    def add(self, connection: ClosingClient | GuardedConnection) -> None:
        """Remembers a connection that was closed, if it says that it holds bytes."""
        if not connection.held_bytes:
            return
        if not isinstance(connection, GuardedConnection):
            self._clients.add(connection)
            return
        with contextlib.suppress(TypeError):  # its class has no weak references
            self._of_backends[connection.plugin_connection] = connection.backend

    @property
    def held_bytes(self) -> int:
        """The bytes that they hold together; forgets those that hold nothing any more."""
        total = 0
        for client in tuple(self._clients):
            total += client.held_bytes
            if not client.held_bytes:
                self._clients.discard(client)
        for connection, backend in tuple(self._of_backends.items()):
            held = reported_by(connection, backend, "held_bytes")
            total += held
            if not held:
                del self._of_backends[connection]
        return total
