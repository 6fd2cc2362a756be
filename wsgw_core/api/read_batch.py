"""Messages that arrive in one read leave in one write, and long reads take turns."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .backend import Clock

# Of one turn of the event loop, for all connections together:
_LONGEST = 0.001  # seconds of their turns; the last one may exceed it
_LONG_READS = 16  # of 256 KiB at most; fewer would have a few busy connections pause in vain


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

    A connection whose read was long asks `may_read_on`. While few connections have long reads, they
    read on; once they are many, they ask for turns. So long reads bring a few mebibytes in one turn
    of the event loop, however many connections have more to give.
    """

    __slots__ = ("_gathering", "_is_scheduled", "_reads", "_turns", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._gathering: list[Flushable] = []
        self._turns: deque[Callable[[], object]] = deque()
        self._is_scheduled = False
        self._reads = 0  # long ones, in this turn of the event loop

    def add(self, connection: Flushable) -> None:
        """Have `connection.flush()` called when the batch closes."""
        self._gathering.append(connection)

    def close(self) -> None:
        """End the batch; every connection that was added is flushed."""
        self.is_open = False
        gathering, self._gathering = self._gathering, []
        for connection in gathering:
            connection.flush()

    def may_read_on(self, clock: Clock) -> bool:
        """Count a long read; return whether its connection may read on without a turn.

        Args:
            clock: of the event loop.
        """
        self._reads += 1
        self._schedule(clock)
        return self._reads <= _LONG_READS and not self._turns

    def call_in_turn(self, clock: Clock, turn: Callable[[], object]) -> None:
        """Have `turn` called in a later turn of the event loop, behind those that wait already.

        Args:
            clock: of the event loop.
            turn: returns whether its connection reads on then.
        """
        self._turns.append(turn)
        self._schedule(clock)

    def _schedule(self, clock: Clock) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            clock.call_soon(self._take_turns, clock)

    def _take_turns(self, clock: Clock) -> None:
        turns, until = self._turns, time.monotonic() + _LONGEST
        self._is_scheduled = False
        self._reads = 0
        try:
            for _ in range(len(turns)):  # those that wait now: others are to be read in between
                self._reads += bool(turns.popleft()())
                if self._reads >= _LONG_READS or time.monotonic() >= until:
                    break
        finally:
            if turns:
                self._schedule(clock)
