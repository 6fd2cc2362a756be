"""Keeps what all sessions hold together within one bound."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING

from ...api import Clock
from ...available_memory import resident_memory

if TYPE_CHECKING:
    from ...metrics.counters import GatewayCounters
    from ..session.session import Session
    from .closing_connections import ClosingConnections
    from .session_table import SessionTable

_INTERVAL = 0.02  # seconds between two looks at whether a round is due
_SLICE = 0.001  # seconds that a round takes of one turn of the loop
# The same when the process grows: in each turn that it waits, clients can bring more.
_URGENT_SLICE = 0.005
_SESSIONS = 16  # looked at between two looks at the time
_REST = 99  # times its own time that passes after a round, when nothing grows
_URGENT_REST = 9  # the same when the sum is large, or the process has grown
_TURN = 1.0  # seconds for which a session that is in the middle of a message is read on
_BUCKETS = 64


class MemoryWatch:
    """Adds up what the sessions hold, in rounds, and stops the reading of those with the most.

    Nothing is counted for each message: every session can tell what it holds. A round looks at all
    sessions, a few in each turn of the loop. Rounds cost one percent of a processor, and up to ten
    when the sum is large or the process has grown.

    From three quarters of the bound on, clients that hold more than a *level* are not read. The
    higher the sum, the lower the level. It never falls so low that those below it could not hold a
    sixteenth of the bound together: clients that hold little do not wait for those that hold much.
    Below five eighths all are read again. Sessions in which a message has come in part, from either
    side, hold what only the rest of the message can free: a few of them, one after the other, are
    read all the same for a second each.

    Args:
        sessions: all that there are.
        bound: bytes; None: there is none, and nothing is watched.
        max_message_size: bytes of one message.
        opening: returns the bytes of clients that are not answered yet.
        closing: what sessions have left that are over.
        counters: of the gateway.

    Attributes:
        bound: see above.
        used: the sum when the last round ended.
        held: how many clients were not read then for the memory's sake.
    """

    def __init__(
        self,
        sessions: SessionTable,
        bound: int | None,
        max_message_size: int,
        opening: Callable[[], int],
        closing: ClosingConnections,
        counters: GatewayCounters,
    ) -> None:
        self._sessions = sessions
        self.bound = bound
        self._max_turns = max(1, (bound or 0) // 16 // max_message_size)
        self._opening = opening
        self._closing = closing
        self._clock: Clock
        self._counters = counters
        self.used = 0
        self.held = 0
        self._level: int | None = None  # None: all are read
        self._is_near = False
        self._turns: dict[Session, float] = {}  # those in the middle of a message, and until when
        self._stuck = 0  # how many there were that had no turn
        self._resident = 0
        self._cost = 0.0  # seconds of the last round
        self._ended = float("-inf")
        self._timer: asyncio.Handle | None = None

    @property
    def is_full(self) -> bool:
        """Whether no new client is let in."""
        return self.bound is not None and self.used + self._opening() >= self.bound

    def start(self, clock: Clock) -> None:
        """Watch until `stop`, by the timers of the event loop."""
        self._clock = clock
        if self.bound is not None:
            self._resident = resident_memory()
            self._timer = self._clock.call_later(_INTERVAL, self._look)

    def stop(self) -> None:
        """Watch no more; who is held stays held."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Begin a round if it is time for one."""
        assert self.bound is not None  # noqa: S101 - for the type checker
        resident = resident_memory()
        grown = resident - self._resident > self.bound // 64
        urgent = grown or self._level is not None or self.used > self.bound // 2
        rest = (_URGENT_REST if urgent else _REST) * self._cost
        if self._clock.time() - self._ended >= rest:
            self._resident = resident
            self._go_on(_Round(iter(self._sessions), _URGENT_SLICE if urgent else _SLICE))
        else:
            self._timer = self._clock.call_later(_INTERVAL, self._look)

    def _go_on(self, current: _Round) -> None:
        """Look at some sessions."""
        begun = perf_counter()
        now = self._clock.time()
        is_over = False
        while not is_over and perf_counter() - begun < current.slice:
            is_over = True
            for _, session in zip(range(_SESSIONS), current.sessions, strict=False):
                is_over = False
                held = session.held_bytes
                current.total += held + session.lasting_bytes
                if held:
                    current.add(held)
                if self._level is not None or session.is_paused_for_memory:
                    current.held += self._pause_or_resume(session, held, now, current)
        current.cost += perf_counter() - begun
        if is_over:
            was_near = self._is_near
            self._end(current)
            if was_near or not self._is_near:
                self._timer = self._clock.call_later(_INTERVAL, self._look)
                return
            self._go_on(_Round(iter(self._sessions), _URGENT_SLICE))  # which acts on it at once
            return
        self._timer = self._clock.call_soon(self._go_on, current)

    def _pause_or_resume(self, session: Session, held: int, now: float, current: _Round) -> bool:
        """Pause or resume reading a session; return whether it is paused."""
        level = self._level
        pause = level is not None and (
            held > level // 2 if session.is_paused_for_memory else self._is_near and held > level
        )
        if pause and session.is_in_a_message:
            pause = not self._has_turn(session, now)
            current.stuck += pause
        if pause or session.is_paused_for_memory:
            self._counters.memory_holds.value += not session.is_paused_for_memory
            session.pause_for_memory(pause)
        return pause

    def _has_turn(self, session: Session, now: float) -> bool:
        until = self._turns.get(session)
        if until is not None:
            return now < until
        chance = 1 / max(1, self._stuck)  # about one a round, wherever it stands in the table
        if len(self._turns) < self._max_turns and random.random() < chance:  # noqa: S311 - no secret
            self._turns[session] = now + _TURN
            return True
        return False

    def _end(self, current: _Round) -> None:
        """Draw the conclusions, for the next round to act on."""
        assert self.bound is not None  # noqa: S101 - for the type checker
        now = self._clock.time()
        self.used = current.total + self._closing.held_bytes
        self.held = current.held
        self._stuck = current.stuck
        self._turns = {each: until for each, until in self._turns.items() if now < until}
        self._cost = current.cost
        self._ended = now
        used = self.used + self._opening()
        near = self.bound * 3 // 4
        self._is_near = used >= near
        if used < self.bound * 5 // 8:
            self._level = None
        elif self._is_near or self._level is not None:
            least = self.bound // 16
            self._level = current.level(max(least, self.bound // 2 - 2 * max(0, used - near)))


class _Round:
    """What was seen of the sessions so far.

    Args:
        sessions: those that are still to be looked at.
        slice_: seconds that it may take of one turn of the loop.
    """

    def __init__(self, sessions: Iterator[Session], slice_: float) -> None:
        self.sessions = sessions
        self.slice = slice_
        self.total = 0
        self.held = 0
        self.stuck = 0
        self.cost = 0.0
        # by the number of bits of what they hold: how many, and in sum
        self._counts = [0] * _BUCKETS
        self._sums = [0] * _BUCKETS

    def add(self, held: int) -> None:
        """Note what a session holds, if it holds anything."""
        bits = held.bit_length()
        self._counts[bits] += 1
        self._sums[bits] += held

    def level(self, room: int) -> int:
        """Return how much of each fits, if none may hold more.

        Args:
            room: bytes for all of them.
        """
        more = sum(self._counts)
        below = 0
        for bits in range(1, _BUCKETS):
            if not more:
                break
            level = max(0, room - below) // more
            if level < 1 << bits:
                return level
            below += self._sums[bits]
            more -= self._counts[bits]
        return room
