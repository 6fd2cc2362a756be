"""Bounds how many dials of one backend are under way at once."""

from __future__ import annotations

import asyncio
import math
import random
from collections import OrderedDict
from weakref import WeakKeyDictionary

from ..backends.backend_pool import PooledBackend
from ..backends.breaker import Breaker

_MUCH_LONGER = 8  # times as long
_LEAST_SILENCE = 0.1  # seconds
_RISE = 1.1  # by one answer, of what the quickest one took: a busy backend is known after some


class NotDialled(Exception):
    """A backend was passed over, through no fault of its own."""


class DialLimiter:
    """Bounds the dials of one backend: the rest wait, each for its turn.

    When a dial ends and another one waits, its slot rests for a short random time before it is
    passed on. So a backend that comes back, or replaces another one, gets the sessions at a bounded
    rate and not all at once.

    Requests that a backend answers slowly or never do not block the others. A dial that has waited
    much longer than others do loses its slot when a later dial is answered. To find that out, a
    full limiter lets one more dial begin whenever none has begun for that long: the one that came
    last, because those before it may all be of the same kind. If all answers are slow, the backend
    is busy, and "much longer" grows.

    While the backend's breaker is tripped and no connection can be made, dials begin at least that
    long apart too. Waiting dials then share the outcome of earlier ones: they go on when the
    breaker closes, and are turned away when the backend cannot be reached.

    Args:
        breaker: the backend's.
        slots: maximum number of dials at once.
        spacing: average seconds for which a slot rests before it is passed on.
        slow_after: seconds that count as "much longer" until there are answers to compare with;
            infinite: there are never more dials than slots.
    """

    __slots__ = (
        "_began_at",
        "_breaker",
        "_holders",
        "_latest",
        "_looks_at",
        "_loop",
        "_queue",
        "_quickest",
        "_slots",
        "_slow_after",
        "_spacing",
        "_taken",
        "_timer",
    )

    def __init__(
        self, breaker: Breaker, slots: int, spacing: float, slow_after: float = math.inf
    ) -> None:
        self._breaker = breaker
        self._slots = slots
        self._spacing = spacing
        self._slow_after = slow_after
        self._loop = asyncio.get_running_loop()
        self._taken = 0  # slots, those included that rest
        self._latest = 0  # turn
        self._holders: OrderedDict[int, float] = OrderedDict()  # turns, and when they began
        self._began_at = -math.inf  # the latest of them
        self._quickest = slow_after / _MUCH_LONGER  # seconds that an answer took of late
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = 0.0  # when the timer fires
        self._queue: OrderedDict[asyncio.Future[int | str], None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether the next one has to wait."""
        return bool(self._queue) or self._pause > 0

    async def enter(self) -> int:
        """Waits for a turn, and returns it; whoever gets it must `leave`.

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
            # both in the same turn of the loop
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
            turn: as returned by `enter`.
            answered: whether the backend has answered.
        """
        began_at = self._holders.pop(turn, None)
        if began_at is not None:
            self._pass_on()
        if not answered:
            return
        if began_at is not None:
            took = self._loop.time() - began_at
            self._quickest = min(took, self._quickest * _RISE)
        limit = self._loop.time() - self._silence
        while self._holders:
            oldest, began_at = next(iter(self._holders.items()))
            if oldest > turn or began_at > limit:
                break
            del self._holders[oldest]
            self._pass_on()

    def turn_away(self, reason: str) -> None:
        """Lets nobody in of those that wait: another dial has found what theirs would find."""
        while self._queue:
            place, _ = self._queue.popitem(last=False)
            if not place.done():
                place.set_result(reason)

    def change(self, slots: int, spacing: float, slow_after: float = math.inf) -> None:
        """Goes on with other values; where there are fewer slots, as soon as enough were left."""
        self._slots, self._spacing, self._slow_after = slots, spacing, slow_after
        self._let_in()

    @property
    def _silence(self) -> float:
        """Seconds for which a dial can wait until it waits for much longer than others do."""
        if self._slow_after == math.inf:
            return math.inf
        return max(_LEAST_SILENCE, _MUCH_LONGER * self._quickest)

    @property
    def _pause(self) -> float:
        """Seconds until the next one may begin; infinite: not before a slot is free."""
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


class DialLimiters:
    """One limiter for each backend, whichever session dials it.

    Args:
        slots, spacing, slow_after: of each limiter; see DialLimiter.
    """

    def __init__(
        self, slots: int = 100, spacing: float = 0.01, slow_after: float = math.inf
    ) -> None:
        self._bounds = slots, spacing, slow_after
        # nothing is kept of backends that are gone
        self._limiters: WeakKeyDictionary[PooledBackend, DialLimiter] = WeakKeyDictionary()

    @property
    def waiting(self) -> int:
        """How many dials wait for others to end."""
        return sum(limiter.waiting for limiter in self._limiters.values())

    def of(self, backend: PooledBackend) -> DialLimiter:
        """Returns the limiter of a backend."""
        limiter = self._limiters.get(backend)
        if limiter is None:
            limiter = self._limiters[backend] = DialLimiter(backend.breaker, *self._bounds)
        return limiter

    def change(self, slots: int, spacing: float, slow_after: float = math.inf) -> None:
        """Goes on with other bounds, for those too that wait already; see DialLimiter.change."""
        self._bounds = slots, spacing, slow_after
        for limiter in self._limiters.values():
            limiter.change(*self._bounds)
