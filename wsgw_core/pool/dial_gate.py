"""Bounds how many dials of one backend are under way at once."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict

from .breaker import Breaker


class DialGate:
    """As many as there are slots dial at once; the rest wait, each for its turn.

    A slot that somebody waits for is passed on after a short pause of random length. So a backend
    that comes back, or takes over from another one, gets the sessions at a bounded rate and not in
    step.

    While the backend's breaker is tripped, dials also begin at least that pause apart. Those that
    wait then learn what the dials before them have found: they go on as usual as soon as the
    breaker is closed, and are turned away when the backend could not be reached.

    Args:
        breaker: the backend's.
        slots: dials at once.
        spacing: seconds that a slot rests for on average before it is passed on.

    """

    __slots__ = (
        "_breaker",
        "_loop",
        "_next_at",
        "_queue",
        "_slots",
        "_spacing",
        "_taken",
        "_timer",
    )

    def __init__(self, breaker: Breaker, slots: int, spacing: float) -> None:
        self._breaker = breaker
        self._slots = slots
        self._spacing = spacing
        self._loop = asyncio.get_running_loop()
        self._taken = 0
        self._next_at = 0.0  # while the breaker is tripped
        self._timer: asyncio.TimerHandle | None = None
        self._queue: OrderedDict[asyncio.Future[str], None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether the next one has to wait."""
        return bool(self._queue) or not self._has_room

    async def enter(self) -> str:
        """Wait for a slot.

        Returns:
            Why there is none, see `turn_away`; empty: there is one, and whoever gets it must
            `leave`.
        """
        if not self.is_full:
            self._take()
            return ""
        turn: asyncio.Future[str] = self._loop.create_future()
        self._queue[turn] = None
        self._let_in()
        try:
            return await turn
        except asyncio.CancelledError:
            # both in the same turn of the loop
            if turn.done() and not turn.cancelled() and not turn.result():
                self.leave()
            raise
        finally:
            self._queue.pop(turn, None)

    def leave(self) -> None:
        """Give the slot back."""
        if self._queue:
            rest = random.uniform(0, 2 * self._spacing)  # noqa: S311 - not for secrets
            self._loop.call_later(rest, self._free)
        else:
            self._taken -= 1

    def turn_away(self, reason: str) -> None:
        """Let nobody in of those that wait: another dial has found what theirs would find."""
        while self._queue:
            self._end_wait(reason)

    def change(self, slots: int, spacing: float) -> None:
        """Go on with other values; where there are fewer slots, as soon as enough were left."""
        self._slots, self._spacing = slots, spacing
        self._let_in()

    @property
    def _has_room(self) -> bool:
        return self._taken < self._slots and not self._pause

    @property
    def _pause(self) -> float:
        """Seconds until the next one may begin, if a slot is free."""
        return max(0.0, self._next_at - self._loop.time()) if self._breaker.tripped else 0.0

    def _take(self) -> None:
        self._taken += 1
        self._next_at = self._loop.time() + self._spacing

    def _free(self) -> None:
        self._taken -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._queue and self._has_room:
            if self._end_wait(""):
                self._take()
        if self._queue and self._taken < self._slots and self._timer is None:
            self._timer = self._loop.call_later(self._pause, self._paused)

    def _end_wait(self, reason: str) -> bool:
        turn, _ = self._queue.popitem(last=False)
        if turn.done():  # it was cancelled in this turn of the loop
            return False
        turn.set_result(reason)
        return True

    def _paused(self) -> None:
        self._timer = None
        self._let_in()
