"""Limits how many dials of one backend are in progress."""

from __future__ import annotations

import asyncio
import math
import random
from collections import OrderedDict
from weakref import WeakKeyDictionary

from ...spread_calls import SpreadCalls
from ..backends.backend_pool import PooledBackend
from ..backends.breaker import Breaker

_MUCH_LONGER = 8  # times as long
_LEAST_SILENCE = 0.1  # seconds
# Factor by which one slow answer raises `_answered_in`: several of them mean a busy backend.
_RISE = 1.1


class NotDialled(Exception):
    """A backend was not dialled, through no fault of its own."""


class DialLimiter:
    """Limits the dials of one backend: each needs a slot, the others wait.

    When a dial ends and another one waits, its slot rests for a short random time. So a backend
    that comes back, or replaces another one, gets its sessions at a bounded rate.

    Requests that a backend answers slowly or never do not block the others. A dial that takes much
    longer than others loses its slot when a later dial is answered. To find that out, a full
    limiter starts one more dial when none has begun for that long. It takes the newest one, because
    the oldest may all be of the same slow kind. If all answers are slow, the backend is busy, and
    "much longer" grows.

    While the backend's breaker is tripped and no connection can be made, dials begin at least
    `spacing` apart. Waiting dials share the outcome of earlier ones: they go on when the breaker
    closes, and fail when the backend cannot be reached.

    Args:
        breaker: the backend's breaker.
        slots: the maximum number of dials in progress.
        spacing: the average seconds for which a slot rests.
        slow_after: the seconds that count as "much longer" until there are answers to compare with;
            infinite: there are never more dials than slots.
    """

    def __init__(
        self, breaker: Breaker, slots: int, spacing: float, slow_after: float = math.inf
    ) -> None:
        self._breaker = breaker
        self._slots = slots
        self._spacing = spacing
        self._slow_after = slow_after
        self._loop = asyncio.get_running_loop()
        self._taken = 0  # slots, including those that rest
        self._latest = 0  # turn
        self._holders: OrderedDict[int, float] = OrderedDict()  # turns, and when they began
        self._began_at = -math.inf  # the latest of them
        self._answered_in: float | None = None  # seconds of the quickest recent answer
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = 0.0  # when the timer fires
        self._queue: OrderedDict[asyncio.Future[int | str], None] = OrderedDict()
        self._refusals = SpreadCalls()

    @property
    def waiting(self) -> int:
        """How many dials wait."""
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether the next dial has to wait."""
        return bool(self._queue) or self._pause > 0

    async def enter(self) -> int:
        """Waits for a turn and returns it; the caller must `leave` with it.

        Raises:
            NotDialled: see `turn_away`.
        """
        if not self.is_full:
            return self._begin()
        place: asyncio.Future[int | str] = self._loop.create_future()
        self._queue[place] = None
        self._let_in()
        try:
            outcome = await place
        except asyncio.CancelledError:
            # cancelled in the same turn of the loop in which it got its turn
            if place.done() and not place.cancelled():
                outcome = place.result()
                if isinstance(outcome, int):
                    self.leave(outcome)
            raise
        finally:
            self._queue.pop(place, None)
        if isinstance(outcome, str):
            raise NotDialled(outcome)
        return outcome

    def leave(self, turn: int, *, answered: bool = False) -> None:
        """Ends a turn.

        Args:
            turn: the turn that `enter` returned.
            answered: whether the backend answered the dial.
        """
        began_at = self._holders.pop(turn, None)
        if began_at is not None:
            self._pass_on()
        if not answered:
            return
        if began_at is not None:
            took = self._loop.time() - began_at
            self._answered_in = min(took, self._quickest * _RISE)
        limit = self._loop.time() - self._silence
        while self._holders:
            oldest, began_at = next(iter(self._holders.items()))
            if oldest > turn or began_at > limit:
                break
            del self._holders[oldest]
            self._pass_on()

    def turn_away(self, reason: str) -> None:
        """Makes all waiting dials fail: another one has found the outcome that they would have.

        If there are many, most fail in later turns of the event loop.
        """
        while self._queue:
            place, _ = self._queue.popitem(last=False)
            self._refusals.call(_refuse, place, reason)

    def change(self, slots: int, spacing: float, slow_after: float = math.inf) -> None:
        """Changes the values; fewer slots take effect when enough dials have ended."""
        self._slots, self._spacing, self._slow_after = slots, spacing, slow_after
        self._let_in()

    @property
    def _quickest(self) -> float:
        """Seconds of the quickest recent answer, or what stands for it before the first one."""
        return self._slow_after / _MUCH_LONGER if self._answered_in is None else self._answered_in

    @property
    def _silence(self) -> float:
        """Seconds after which a dial takes much longer than others."""
        if self._slow_after == math.inf:
            return math.inf
        return max(_LEAST_SILENCE, _MUCH_LONGER * self._quickest)

    @property
    def _pause(self) -> float:
        """Seconds until the next dial may begin; infinite: not before a slot is free."""
        if self._taken >= self._slots:
            apart = self._silence
        elif self._breaker.is_unreachable:
            apart = self._spacing
        else:
            return 0.0
        return max(0.0, self._began_at + apart - self._loop.time())

    def _begin(self) -> int:
        self._taken += 1
        self._latest += 1
        self._began_at = self._holders[self._latest] = self._loop.time()
        return self._latest

    def _pass_on(self) -> None:
        if self._queue:
            rest = random.uniform(0, 2 * self._spacing)  # noqa: S311 - not for secrets
            self._loop.call_later(rest, self._free)
        else:
            self._taken -= 1

    def _free(self) -> None:
        self._taken -= 1
        self._let_in()

    def _let_in(self) -> None:
        pause = self._pause
        while self._queue and not pause:
            place, _ = self._queue.popitem(last=self._taken >= self._slots)
            if not place.done():  # else it was cancelled in this turn of the loop
                place.set_result(self._begin())
            pause = self._pause
        if self._queue and pause < math.inf:
            self._look_again_in(pause)

    def _look_again_in(self, pause: float) -> None:
        due = self._loop.time() + pause
        if self._timer is not None:
            if self._looks_at <= due:
                return
            self._timer.cancel()
        self._looks_at = due
        self._timer = self._loop.call_later(pause, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._let_in()


def _refuse(place: asyncio.Future[int | str], reason: str) -> None:
    if not place.done():  # else its dial was given up
        place.set_result(reason)


class DialLimiters:
    """The limiters of all backends, shared by all sessions.

    Args:
        slots, spacing, slow_after: for each limiter; see DialLimiter.
    """

    def __init__(
        self, slots: int = 100, spacing: float = 0.01, slow_after: float = math.inf
    ) -> None:
        self._bounds = slots, spacing, slow_after
        self._limiters: WeakKeyDictionary[PooledBackend, DialLimiter] = WeakKeyDictionary()

    @property
    def waiting(self) -> int:
        """How many dials wait at all limiters."""
        return sum(limiter.waiting for limiter in self._limiters.values())

    def of(self, backend: PooledBackend) -> DialLimiter:
        """Returns the limiter of a backend."""
        limiter = self._limiters.get(backend)
        if limiter is None:
            limiter = self._limiters[backend] = DialLimiter(backend.breaker, *self._bounds)
        return limiter

    def change(self, slots: int, spacing: float, slow_after: float = math.inf) -> None:
        """Changes the values of all limiters; see DialLimiter.change."""
        self._bounds = slots, spacing, slow_after
        for limiter in self._limiters.values():
            limiter.change(*self._bounds)
