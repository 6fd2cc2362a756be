"""Messages that arrive in one read leave in one write, and long reads take turns."""

from __future__ import annotations

from typing import Protocol

from .turns import Turns


class Flushable(Protocol):
    """A connection that has gathered bytes."""

    def flush(self) -> None:
        """Write what was gathered."""
        ...


class ReadBatch(Turns):
    """Open while the messages of one read from a socket are passed on, one after the other.

    One for each gateway. The connection that reads opens it before the first of several messages
    and closes it after the last; a connection asked to send while it is open gathers its bytes,
    calls `add(self)` once, and writes them in `flush`. Everything happens inside one callback of
    the event loop, so nothing ever waits here.

    A connection that has read more than it should take at once asks for another turn: see Turns.
    """

    __slots__ = ("_gathering", "is_open")

    def __init__(self) -> None:
        super().__init__()
        self.is_open = False
        self._gathering: list[Flushable] = []

    def add(self, connection: Flushable) -> None:
        """Have `connection.flush()` called when the batch closes."""
        self._gathering.append(connection)

    def close(self) -> None:
        """End the batch; every connection that was added is flushed."""
        self.is_open = False
        gathering, self._gathering = self._gathering, []
        for connection in gathering:
            connection.flush()
