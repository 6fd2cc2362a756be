"""Keeps sessions whose messages are suspected from being suspected for each other's."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..pool.backend_pool import PooledBackend
    from .cautious_replay import CautiousReplay


class SuspectTurns:
    """Lets one suspicious message be under way at a backend, whichever session's it is.

    All sessions of a backend lose it together. If the messages of several were under way, nobody
    could tell which of them it has died of.
    """

    def __init__(self) -> None:
        self._now: dict[PooledBackend, CautiousReplay] = {}
        # In the order of their arrival; a deque would take long to find one of thousands.
        self._waiting: defaultdict[PooledBackend, OrderedDict[CautiousReplay, None]] = defaultdict(
            OrderedDict
        )

    def take(self, backend: PooledBackend, replay: CautiousReplay) -> bool:
        """Take the turn; False: it is another's, and `replay.go_on` is called when it comes."""
        if self._now.setdefault(backend, replay) is replay:
            return True
        self._waiting[backend].setdefault(replay)
        return False

    def give_back(
        self, backend: PooledBackend, replay: CautiousReplay, *, pause: float | None = None
    ) -> None:
        """Pass the turn on, or wait for it no longer; without effect for whoever does neither.

        Args:
            backend: where it is.
            replay: whose turn it is.
            pause: seconds for which nobody gets the turn, when the backend was lost: the others are
                about to lose theirs.
        """
        waiting = self._waiting.get(backend)
        if waiting is not None:
            waiting.pop(replay, None)
        if self._now.get(backend) is replay:
            if pause is None:
                self._pass_on(backend)
            else:
                asyncio.get_running_loop().call_later(pause, self._pass_on, backend)

    def _pass_on(self, backend: PooledBackend) -> None:
        del self._now[backend]
        waiting = self._waiting.get(backend)
        while waiting and backend not in self._now:
            waiting.popitem(last=False)[0].go_on()
        if not waiting:
            self._waiting.pop(backend, None)
