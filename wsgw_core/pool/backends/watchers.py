"""Tells those who watch backends what has changed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...spread_calls import AT_ONCE

if TYPE_CHECKING:
    from .backend_pool import PooledBackend

Watcher = Callable[["PooledBackend"], None]


class Watchers:
    """Calls watchers with each backend that has changed, a few in each turn of the event loop.

    Thousands of dials can watch. One round tells all of them, the oldest first. What changes during
    a round is told in the next one, once, however often it changes.
    """

    def __init__(self) -> None:
        self._watchers: dict[Watcher, None] = {}
        self._is_telling = False
        self._round: deque[Watcher] = deque()  # those that are still to be told
        self._later: dict[PooledBackend, None] = {}

    def add(self, watcher: Watcher) -> None:
        """Begins to call a watcher; what has changed before is no news for it."""
        self._watchers[watcher] = None

    def discard(self, watcher: Watcher) -> None:
        """Stops calling a watcher, also in a round that is under way."""
        self._watchers.pop(watcher, None)

    def __len__(self) -> int:
        return len(self._watchers)

    def tell(self, changed: PooledBackend) -> None:
        """Calls all watchers with a backend: the first few before it returns."""
        self._later[changed] = None
        if not self._is_telling:
            self._begin_round()

    def _begin_round(self) -> None:
        changed, self._later = tuple(self._later), {}
        self._is_telling = True
        self._round.extend(self._watchers)
        self._tell_some(changed)

    def _tell_some(self, changed: tuple[PooledBackend, ...]) -> None:
        try:
            for _ in range(min(AT_ONCE, len(self._round))):
                watcher = self._round.popleft()
                for each in changed:
                    if watcher in self._watchers:
                        watcher(each)
        finally:
            self._go_on(changed)

    def _go_on(self, changed: tuple[PooledBackend, ...]) -> None:
        if self._round:
            asyncio.get_running_loop().call_soon(self._tell_some, changed)
        elif self._later:
            asyncio.get_running_loop().call_soon(self._begin_round)
        else:
            self._is_telling = False
