"""Callbacks that share each turn of the event loop with everything else."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backend import Clock

# Of one turn of the event loop, for all callbacks together:
_LONGEST = 0.001  # seconds; the last one may exceed it
_LONG_READS = 16  # of 256 KiB at most; fewer would have a few busy connections pause in vain


class Turns:
    """A queue of callbacks, which take about a millisecond of each turn of the event loop.

    However many connections ask for a turn, everything else is served in between.

    A connection whose read was long asks `may_read_on`. While few connections have long reads, they
    read on; once they are many, they ask for turns. So long reads bring a few mebibytes in one turn
    of the event loop, however many connections have more to give.
    """

    __slots__ = ("_is_scheduled", "_long_reads", "_turns")

    def __init__(self) -> None:
        self._turns: deque[Callable[[], object]] = deque()
        self._is_scheduled = False
        self._long_reads = 0  # in this turn of the event loop

    def call_in_turn(
        self, clock: Clock, turn: Callable[[], object], *, first: bool = False
    ) -> None:
        """Have `turn` called in a later turn of the event loop, behind those that wait already.

        Args:
            clock: of the event loop.
            turn: returns whether its connection reads on then.
            first: before those that wait.
        """
        if first:
            self._turns.appendleft(turn)
        else:
            self._turns.append(turn)
        self._schedule(clock)

    def may_begin(self, clock: Clock) -> bool:
        """Count a connection that begins to read; return whether it may do so at once.

        Else it asks for a turn, before those that have read already. Its first read may be long.

        Args:
            clock: of the event loop.
        """
        self._long_reads += 1
        self._schedule(clock)
        return self._long_reads <= _LONG_READS

    def may_read_on(self, clock: Clock) -> bool:
        """Count a long read; return whether its connection may read on without a turn.

        Args:
            clock: of the event loop.
        """
        return self.may_begin(clock) and not self._turns

    def _schedule(self, clock: Clock) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            clock.call_soon(self._take_turns, clock)

    def _take_turns(self, clock: Clock) -> None:
        turns, until = self._turns, time.monotonic() + _LONGEST
        self._is_scheduled = False
        self._long_reads = 0
        try:
            for _ in range(len(turns)):  # those that wait now: others are to be read in between
                self._long_reads += bool(turns.popleft()())
                if self._long_reads >= _LONG_READS or time.monotonic() >= until:
                    break
        finally:
            if turns:
                self._schedule(clock)
