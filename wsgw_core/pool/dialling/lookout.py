"""Lets sessions wait while all backends of their group are away."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict

from ...spread_calls import SpreadCalls
from ..backends.backend_pool import PooledBackend
from ..policy.backend_group import BackendGroup

_JITTER = 0.25


class Lookout:
    """Releases one waiting session at a time as a scout for each backend; all when one is back.

    All of them go on a few in each turn of the event loop. The DialLimiter limits how many then
    dial at the same time.

    Args:
        group: the backends.
        every: seconds between two scouts for one backend.
    """

    def __init__(self, group: BackendGroup, every: float) -> None:
        self._group = group
        self._every = every
        self._queue: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._releases = SpreadCalls()

    @property
    def apart(self) -> float:
        """The minimum seconds between two scouts for one backend, across all lookouts."""
        return self._every / 2

    async def wait(self, seconds: float) -> bool:
        """Waits until the session should dial.

        Args:
            seconds: the maximum wait.

        Returns:
            False without waiting if a backend is there, even one that refused this session.
        """
        if self._group.is_there:
            return False
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue[place] = None
        if self._timer is None:
            self._group.watch(self._changed)
            self._look_again()
        try:
            await asyncio.wait([place], timeout=seconds)
        finally:
            self._queue.pop(place, None)
            if not self._queue:
                self._rest()
        return True

    def _changed(self, _backend: PooledBackend) -> None:
        if self._group.is_there:
            self._let_go(len(self._queue))

    def _tick(self) -> None:
        self._look_again()
        if self._group.is_there:  # an operator may have reset it
            self._let_go(len(self._queue))
            return
        now = asyncio.get_running_loop().time()
        self._let_go(self._group.to_look_for(now, self.apart))

    def _look_again(self) -> None:
        pause = self._every * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        self._timer = asyncio.get_running_loop().call_later(pause, self._tick)

    def _rest(self) -> None:
        self._group.unwatch(self._changed)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_go(self, count: int) -> None:
        while self._queue and count > 0:
            place, _ = self._queue.popitem(last=False)
            if not place.done():
                self._releases.call(_release, place)
                count -= 1


def _release(place: asyncio.Future[None]) -> None:
    if not place.done():  # else its session has ended
        place.set_result(None)
