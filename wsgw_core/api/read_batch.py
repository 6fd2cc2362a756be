"""Messages that arrive in one read leave in one write, and long reads take turns."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .backend import Clock

_LONGEST = 0.001  # seconds of one turn of the event loop; the last turn may exceed it


class Flushable(Protocol):
    """A connection that has gathered bytes."""

    def flush(self) -> None:
        """Write what was gathered."""
        ...


class ReadBatch:
    """Open while the messages of one read from a socket are passed on, one after the other.

    One for each gateway. The connection that reads opens it before the first of several messages
    and closes it after the last; a connection asked to send while it is open gathers its bytes,
    calls `add(self)` once, and writes them in `flush`. Everything happens inside one callback of
    the event loop, so nothing ever waits here.

    A connection that has read more than it should take at once asks for another turn. However many
    connections do so, their turns take about a millisecond of each turn of the event loop.
    """

    __slots__ = ("_gathering", "_is_scheduled", "_turns", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._gathering: list[Flushable] = []
        self._turns: deque[Callable[[], object]] = deque()
        self._is_scheduled = False

    def add(self, connection: Flushable) -> None:
        """Have `connection.flush()` called when the batch closes."""
        self._gathering.append(connection)

    def close(self) -> None:
        """End the batch; every connection that was added is flushed."""
        self.is_open = False
        gathering, self._gathering = self._gathering, []
        for connection in gathering:
            connection.flush()

    def call_in_turn(self, clock: Clock, turn: Callable[[], object]) -> None:
        """Have `turn` called in a later turn of the event loop, behind those that wait already."""
        self._turns.append(turn)
        if not self._is_scheduled:
            self._is_scheduled = True
            clock.call_soon(self._take_turns, clock)

    def _take_turns(self, clock: Clock) -> None:
        turns, until = self._turns, time.monotonic() + _LONGEST
        try:
            for _ in range(len(turns)):  # those that wait now: others are to be read in between
                turns.popleft()()
                if time.monotonic() >= until:
                    break
        finally:
            self._is_scheduled = bool(turns)
            if turns:
                clock.call_soon(self._take_turns, clock)
