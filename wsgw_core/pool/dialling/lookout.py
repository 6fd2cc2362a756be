"""Where sessions wait while all backends of their group are away."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict

from ..backends.backend_pool import PooledBackend
from ..policy.backend_group import BackendGroup

_JITTER = 0.25


class Lookout:
    """Sends one session at a time to look for each backend; when one is back, all go on.

    How many of them dial at once, the DialLimiter says.

    Args:
        group: the backends.
        every: seconds between two looks at one backend.
    """

    __slots__ = ("_every", "_group", "_queue", "_timer")

    def __init__(self, group: BackendGroup, every: float) -> None:
        self._group = group
        self._every = every
        self._queue: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def apart(self) -> float:
        """Seconds that two looks at one backend are apart at least, whoever sends to look."""
        return self._every / 2

    async def wait(self, seconds: float) -> bool:
        """Waits until it is worth while to dial.

        Args:
            seconds: for which to wait at most.

        Returns:
            False, at once: a backend is there, whatever it has against this session.
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
        if self._group.is_there:  # an operator may have said so
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
                place.set_result(None)
                count -= 1
