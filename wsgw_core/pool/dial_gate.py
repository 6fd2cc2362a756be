"""Bounds how many dials of one backend are under way at once."""

from __future__ import annotations

import asyncio
import math
import random
from collections import OrderedDict

from .breaker import Breaker

_MUCH_LONGER = 8  # times as long
_LEAST_SILENCE = 0.1  # seconds
_RISE = 1.1  # by one answer, of what the quickest one took: a busy backend is known after some


class NotDialled(Exception):
    """A backend was passed over, through no fault of its own."""


class DialGate:
    """As many as there are slots dial at once; the rest wait, each for its turn.

    A slot that somebody waits for is passed on after a short pause of random length. So a backend
    that comes back, or takes over from another one, gets the sessions at a bounded rate and not in
    step.

    Requests that a backend answers slowly, or never, do not close the gate to others: a dial that
    has waited for much longer than others do holds no slot any more when a later one is answered.
    To find that out, a full gate lets one more in after each such while without a new dial: the one
    that came last, since those before it may all be of the same kind. Where all answers are slow,
    the backend is busy, and the while is longer.

    While the backend's breaker is tripped and no connection can be made, dials also begin at least
    that pause apart. Those that wait then learn what the dials before them have found: they go on
    as usual as soon as the breaker is closed, and are turned away when the backend could not be
    reached.

    Args:
        breaker: the backend's.
        slots: dials at once.
        spacing: seconds that a slot rests for on average before it is passed on.
        patience: seconds that are much longer, until there are answers to tell; infinite: there are
            never more dials than slots.
    """

    __slots__ = (
        "_began_at",
        "_breaker",
        "_holders",
        "_latest",
        "_looks_at",
        "_loop",
        "_patience",
        "_queue",
        "_quickest",
        "_slots",
        "_spacing",
        "_taken",
        "_timer",
    )

    def __init__(
        self, breaker: Breaker, slots: int, spacing: float, patience: float = math.inf
    ) -> None:
        self._breaker = breaker
        self._slots = slots
        self._spacing = spacing
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._taken = 0  # slots, those included that rest
        self._latest = 0  # turn
        self._holders: OrderedDict[int, float] = OrderedDict()  # turns, and when they began
        self._began_at = -math.inf  # the latest of them
        self._quickest = patience / _MUCH_LONGER  # seconds that an answer took of late
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
        """Wait for a turn, and return it; whoever gets it must `leave`.

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
        """End a turn.

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
        """Let nobody in of those that wait: another dial has found what theirs would find."""
        while self._queue:
            place, _ = self._queue.popitem(last=False)
            if not place.done():
                place.set_result(reason)

    def change(self, slots: int, spacing: float, patience: float = math.inf) -> None:
        """Go on with other values; where there are fewer slots, as soon as enough were left."""
        self._slots, self._spacing, self._patience = slots, spacing, patience
        self._let_in()

    @property
    def _silence(self) -> float:
        """Seconds for which a dial can wait until it waits for much longer than others do."""
        if self._patience == math.inf:
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
