"""Spreads calls that many sessions need at the same moment."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE = 16  # sessions in one turn of the event loop; each can take a third of a millisecond


class SpreadCalls:
    """Makes a few calls at once, and the others in later turns of the event loop, a few in each.

    When thousands of sessions lose their backend in one moment, the sessions of other backends do
    not wait until all of them have begun to search. The calls keep their order.

    Args:
        at_once: the maximum number of calls in one turn of the event loop.
    """

    __slots__ = ("_at_once", "_is_scheduled", "_made", "_waiting")

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._made = 0  # in this turn of the event loop
        self._waiting: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._is_scheduled = False

    def call(self, callback: Callable[..., object], *args: object) -> bool:
        """Calls `callback(*args)` now, or in a later turn; returns whether it was called now."""
        self._schedule()
        if self._waiting or self._made >= self._at_once:
            self._waiting.append((callback, args))
            return False
        self._made += 1
        callback(*args)
        return True

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._is_scheduled = False
        self._made = 0
        try:
            while self._waiting and self._made < self._at_once:
                self._made += 1
                callback, args = self._waiting.popleft()
                callback(*args)
        finally:
            if self._made:  # counts until the next turn, even if none waits
                self._schedule()
