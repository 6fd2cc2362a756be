"""Sends in one write what arrived in one read."""

from __future__ import annotations

from typing import Protocol

from .turns import LONG_READS, Turns


class Flushable(Protocol):
    """A connection that gathers bytes while a batch is open."""

    def flush(self) -> None:
        """Writes the gathered bytes."""


class ReadBatch(Turns):
    """Marks the time in which a connection passes on the messages of one read.

    Each gateway has one. The connection that reads opens it before the first of several messages
    (`is_open = True`) and closes it after the last one. While it is open, a connection that has to
    send gathers its bytes, calls `add(self)` once, and writes them in `flush`. All of this happens
    within one callback of the event loop.

    A connection that has read more than its share asks for another turn: see Turns.

    Args:
        most_long_reads: see Turns.
    """

    __slots__ = ("_gathering", "is_open")

    def __init__(self, most_long_reads: int = LONG_READS) -> None:
        super().__init__(most_long_reads)
        self.is_open = False
        self._gathering: list[Flushable] = []

    def add(self, connection: Flushable) -> None:
        """Calls `connection.flush()` when the batch closes. Call it once for each batch."""
        self._gathering.append(connection)

    def close(self) -> None:
        """Ends the batch and flushes every connection that was added."""
        self.is_open = False
        gathering, self._gathering = self._gathering, []
        for connection in gathering:
            connection.flush()
