"""Shares each turn of the event loop between connections that have much to read."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backend import Clock

# The share of all callbacks together in one turn of the event loop:
_LONGEST = 0.001  # seconds; the last callback may exceed it
_LONGEST_AFTER = 0.005  # seconds, of what they begin, such as tasks; then one callback at a time
LONG_READS = 16  # of 256 KiB at most; with fewer, a few busy connections would pause in vain


class Turns:
    """A queue of callbacks that take about a millisecond of each turn of the event loop.

    The event loop serves everything else in between, however many connections ask for a turn. If
    the tasks that callbacks begin take long, one callback is called in each turn.

    A connection asks `may_read_on` after a long read. While only few connections have long reads,
    they read on; when there are many, they ask for turns. So all long reads together bring at most
    a few mebibytes in one turn of the event loop.

    Args:
        most_long_reads: how many long reads in one turn of the event loop are few.
    """

    __slots__ = ("_after", "_is_scheduled", "_long_reads", "_most_long_reads", "_turns")

    def __init__(self, most_long_reads: int = LONG_READS) -> None:
        self._most_long_reads = most_long_reads
        self._turns: deque[Callable[[], object]] = deque()
        self._after = math.inf  # when that began which the callbacks of the last turn have begun
        self._is_scheduled = False
        self._long_reads = 0  # in this turn of the event loop

    def call_in_turn(
        self, clock: Clock, turn: Callable[[], object], *, first: bool = False
    ) -> None:
        """Calls `turn` in a later turn of the event loop, after the callbacks that wait already.

        Args:
            clock: the event loop's clock.
            turn: the callback; returns whether its connection then reads on.
            first: whether to call it before those that wait.
        """
        if first:
            self._turns.appendleft(turn)
        else:
            self._turns.append(turn)
        self._schedule(clock)

    def may_begin(self, clock: Clock) -> bool:
        """Counts a connection that begins to read; returns whether it may read at once.

        If not, the connection asks for a turn, with `first`. Its first read may be long.

        Args:
            clock: the event loop's clock.
        """
        self._long_reads += 1
        self._schedule(clock)
        return self._long_reads <= self._most_long_reads

    def may_read_on(self, clock: Clock) -> bool:
        """Counts a long read; returns whether the connection may read on without a turn.

        Args:
            clock: the event loop's clock.
        """
        return self.may_begin(clock) and not self._turns

    def _schedule(self, clock: Clock) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            clock.call_soon(self._take_turns, clock)

    def _take_turns(self, clock: Clock) -> None:
        turns, now = self._turns, time.monotonic()
        until = now if now - self._after > _LONGEST_AFTER else now + _LONGEST
        self._after = math.inf
        self._is_scheduled = False
        self._long_reads = 0
        if len(turns) > 1:
            clock.call_soon(self._callbacks_done)  # before what they begin
        try:
            for _ in range(len(turns)):  # those that wait now; the loop reads others in between
                self._long_reads += bool(turns.popleft()())
                if self._long_reads >= self._most_long_reads or time.monotonic() >= until:
                    break
        finally:
            if turns:
                self._schedule(clock)

    def _callbacks_done(self) -> None:
        if self._is_scheduled:  # in this turn of the event loop, behind what they have begun
            self._after = time.monotonic()
