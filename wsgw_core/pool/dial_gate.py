"""Bounds how many dials of one backend are under way at once."""

from __future__ import annotations

import asyncio
import random
from collections import deque


class DialGate:
    """As many as there are slots dial at once; the rest wait, each for its turn.

    A slot that somebody waits for is passed on after a short pause of random length. So a backend
    that comes back, or takes over from another one, gets the sessions at a bounded rate and not in
    step.

    Args:
        slots: dials at once.
        spacing: seconds that a slot rests for on average before it is passed on.

    Attributes:
        waiting: how many wait.
    """

    __slots__ = ("_queue", "_slots", "_spacing", "_taken", "waiting")

    def __init__(self, slots: int, spacing: float) -> None:
        self._slots = slots
        self._spacing = spacing
        self._taken = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self.waiting = 0

    @property
    def is_full(self) -> bool:
        """Whether the next one has to wait."""
        return self._taken >= self._slots

    async def enter(self) -> None:
        """Wait for a slot; whoever gets one must `leave`."""
        if not self.is_full:
            self._taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self.waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # both in the same turn of the loop
                self.leave()
            raise
        finally:
            self.waiting -= 1

    def leave(self) -> None:
        """Give the slot back."""
        if self.waiting:
            rest = random.uniform(0, 2 * self._spacing)  # noqa: S311 - not for secrets
            asyncio.get_running_loop().call_later(rest, self._free)
        else:
            self._taken -= 1

    def change(self, slots: int, spacing: float) -> None:
        """Go on with other values; where there are fewer slots, as soon as enough were left."""
        self._slots, self._spacing = slots, spacing
        self._let_in()

    def _free(self) -> None:
        self._taken -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._queue and self._taken < self._slots:
            turn = self._queue.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(None)
