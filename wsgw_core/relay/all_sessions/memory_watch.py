"""Bounds the memory that all sessions hold together."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from time import thread_time
from typing import TYPE_CHECKING, Protocol

from ...api import Clock
from ...api.turns import LONG_READS
from ...available_memory import resident_memory

if TYPE_CHECKING:
    from ...metrics.counters import GatewayCounters
    from .closing_connections import ClosingConnections

_INTERVAL = 0.02  # seconds after which the watch checks whether a round is due
_URGENT_INTERVAL = 0.002  # the same while it is urgent
_URGENT_FOR = 1.0  # seconds after the last round in which sessions were paused or the sum was large
# Processor time, because a machine that is busy with other things must not delay the next round:
_SLICE = 0.001  # seconds that a round may take of one turn of the loop
# The same while it is urgent: between two turns the clients can send more.
_URGENT_SLICE = 0.005
_SESSIONS = 16  # how many sessions a round visits before it checks the time
_REST = 99  # pause after a round, as a multiple of its duration
_URGENT_REST = 9  # the same when the sum is large or the process has grown
_TURN = 1.0  # seconds for which a session with an incomplete message is read at most
_READ = 256 * 1024  # bytes that a session may bring before it is measured again
_BUCKETS = 64


def long_reads_within(bound: int | None) -> int:
    """Returns how many long reads a turn of the event loop may have, because none is measured.

    Args:
        bound: of the memory of all sessions; None: there is no bound.
    """
    return LONG_READS if bound is None else max(1, min(LONG_READS, bound // 32 // _READ))


class MeasuredSession(Protocol):
    """What this module needs of a session."""

    @property
    def held_bytes(self) -> int:
        """Bytes that a read pause can free in time."""

    @property
    def lasting_bytes(self) -> int:
        """Bytes that a read pause cannot free, such as what valves remember."""

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message has arrived only in part."""

    @property
    def is_paused_for_memory(self) -> bool:
        """Whether reading is paused by `pause_for_memory`."""

    def pause_for_memory(self, pause: bool, /) -> None:
        """Pauses or resumes reading."""


class MemoryWatch:
    """Adds up what sessions hold, in rounds, and pauses reading those that hold the most.

    Messages cost nothing here, because each session can say what it holds. A round visits all
    sessions, a few in each turn of the loop. Rounds take one percent of a processor, and up to ten
    percent when the sum is large or the process has grown.

    From three quarters of the bound on, the watch pauses reading sessions that hold more than a
    *level*. The higher the sum, the lower the level; but sessions below the level may always hold a
    sixteenth of the bound together, so that clients that hold little need not wait for those that
    hold much. Below five eighths of the bound it resumes reading all sessions, in each round as
    many as have room for one read each, because all of them may have much to send.

    A session in which a message has arrived only in part can free its bytes only when the rest
    comes. So a few of these sessions, one after the other, are read for up to a second each.

    Args:
        sessions: all sessions.
        bound: in bytes; None: nothing is watched.
        max_message_size: maximum bytes of a message.
        opening: returns the bytes of clients that are not answered yet.
        closing: connections of ended sessions.
        counters: the gateway's.

    Attributes:
        bound: see above.
        used: the sum when the last round ended.
        paused: how many sessions were paused then.
    """

    def __init__(
        self,
        sessions: Iterable[MeasuredSession],
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
        self.paused = 0
        self._level: int | None = None  # None: all sessions are read
        self._is_near = False  # the sum is at three quarters of the bound or above
        # Sessions with an incomplete message that are read, each with the end of its turn
        self._turns: dict[MeasuredSession, float] = {}
        self._stuck = 0  # sessions with an incomplete message that had no turn
        self._chance = 1.0  # that a round resumes reading a paused session that holds little
        self._urgent_until = float("-inf")  # the clock's time
        self._resident: int  # the process's memory at the last round
        self._cost = 0.0  # seconds of processor time that the last round took
        self._ended = float("-inf")  # the clock's time of its end
        self._timer: asyncio.Handle | None = None

    @property
    def is_full(self) -> bool:
        """Whether new clients must be refused."""
        return self.bound is not None and self.used + self._opening() >= self.bound

    def start(self, clock: Clock) -> None:
        """Watches until `stop`, by the timers of the event loop."""
        self._clock = clock
        if self.bound is not None:
            self._resident = resident_memory()
            self._timer = self._clock.call_later(_INTERVAL, self._look)

    def stop(self) -> None:
        """Stops watching; sessions that are paused stay paused."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Begins a round if one is due."""
        assert self.bound is not None  # noqa: S101 - for the type checker
        resident = resident_memory()
        grown = resident - self._resident > self.bound // 64
        urgent = grown or self._is_urgent
        rest = (_URGENT_REST if urgent else _REST) * self._cost
        if self._clock.time() - self._ended >= rest:
            self._resident = resident
            self._go_on(_Round(iter(self._sessions), _URGENT_SLICE if urgent else _SLICE))
        else:
            self._look_later()

    @property
    def _is_urgent(self) -> bool:
        return self._clock.time() < self._urgent_until

    def _look_later(self) -> None:
        interval = _URGENT_INTERVAL if self._is_urgent else _INTERVAL
        self._timer = self._clock.call_later(interval, self._look)

    def _go_on(self, current: _Round) -> None:
        """Visits some more sessions of a round."""
        begun = thread_time()
        now = self._clock.time()
        is_over = False
        while not is_over and thread_time() - begun < current.slice:
            is_over = True
            for _, session in zip(range(_SESSIONS), current.sessions, strict=False):
                is_over = False
                held = session.held_bytes
                current.total += held + session.lasting_bytes
                if held:
                    current.add(held)
                if self._level is not None or session.is_paused_for_memory:
                    current.paused += self._pause_or_resume(session, held, now, current)
        current.cost += thread_time() - begun
        if is_over:
            was_near = self._is_near
            self._end(current)
            if was_near or not self._is_near:
                self._look_later()
                return
            self._go_on(_Round(iter(self._sessions), _URGENT_SLICE))  # applies the level at once
            return
        self._timer = self._clock.call_soon(self._go_on, current)

    def _pause_or_resume(
        self, session: MeasuredSession, held: int, now: float, current: _Round
    ) -> bool:
        """Pauses or resumes reading a session; returns whether it is paused."""
        level, was_paused = self._level, session.is_paused_for_memory
        pause = level is not None and (
            held > level // 2 if was_paused else self._is_near and held > level
        )
        if was_paused and not pause:
            pause = random.random() >= self._chance  # noqa: S311 - no secret
        if pause and session.is_in_a_message:
            pause = not self._has_turn(session, now)
            current.stuck += pause
        if pause or was_paused:
            session.pause_for_memory(pause)
        is_paused = session.is_paused_for_memory  # not if its client has left or is being closed
        self._counters.memory_holds.value += is_paused and not was_paused
        return is_paused

    def _has_turn(self, session: MeasuredSession, now: float) -> bool:
        until = self._turns.get(session)
        if until is not None:
            return now < until
        chance = 1 / max(1, self._stuck)  # about one session in each round, at random
        if len(self._turns) < self._max_turns and random.random() < chance:  # noqa: S311 - no secret
            self._turns[session] = now + _TURN
            return True
        return False

    def _end(self, current: _Round) -> None:
        """Sets the level that the next round applies."""
        assert self.bound is not None  # noqa: S101 - for the type checker
        now = self._clock.time()
        self.used = current.total + self._closing.held_bytes
        self.paused = current.paused
        self._stuck = current.stuck
        self._turns = {
            each: until
            for each, until in self._turns.items()
            if now < until and each.held_bytes > (self._level or 0) // 2
        }
        self._cost = current.cost
        self._ended = now
        used = self.used + self._opening()
        near = self.bound * 3 // 4
        self._is_near = used >= near
        if self.paused or self._is_near or self.used > self.bound // 2:
            self._urgent_until = now + _URGENT_FOR
        places = max(1, (near - used) // min(_READ, 1 + self.bound // 16))
        self._chance = places / max(1, self.paused)
        if used < self.bound * 5 // 8:
            self._level = None
        elif self._is_near or self._level is not None:
            least = self.bound // 16
            self._level = current.level(max(least, self.bound // 2 - 2 * max(0, used - near)))


class _Round:
    """One round: what it has found so far.

    Args:
        sessions: the sessions that it has not visited yet.
        slice_: seconds that it may take of one turn of the loop.
    """

    def __init__(self, sessions: Iterator[MeasuredSession], slice_: float) -> None:
        self.sessions = sessions
        self.slice = slice_
        self.total = 0
        self.paused = 0
        self.stuck = 0
        self.cost = 0.0
        # By the number of bits of what a session holds: how many sessions, and their sum
        self._counts = [0] * _BUCKETS
        self._sums = [0] * _BUCKETS

    def add(self, held: int) -> None:
        """Notes that a session holds some bytes, more than none."""
        bits = held.bit_length()
        self._counts[bits] += 1
        self._sums[bits] += held

    def level(self, room: int) -> int:
        """Returns the level: if no session holds more than that, all together fit into the room.

        Args:
            room: bytes for all sessions together.
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
