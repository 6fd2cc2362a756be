"""Finds a backend for one client: one dial after the other, and two at once where one is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from .backend_group import BackendGroup
from .backend_pool import PooledBackend
from .dial_under_way import DialUnderWay

T = TypeVar("T")


class BackendSearch(Generic[T]):
    """One search. Each backend is tried once, and once more if it becomes usable again meanwhile.

    While the one that is dialled is silent, the next is dialled as well; never more than these two.
    Who succeeds first is taken. When there is no next one, all others are tried again after another
    such while, since one of them may be back; but not for longer than one dial may take.

    Args:
        group: the backends.
        attempt: makes one dial. Returns None when it has failed; what it raises ends the search.
        discard: called with what a dial brings that is not taken: another one was faster, or the
            backend was removed at that moment.
        timeout: bound of each dial in seconds.
        deadline: the loop's time at which even the last dial must be over.
        last: the backend to try after all others.
        hedge_after: seconds without an answer to any dial that make a backend silent; 0: it never
            is.
    """

    def __init__(
        self,
        group: BackendGroup,
        attempt: Callable[[DialUnderWay], Coroutine[Any, Any, T | None]],
        discard: Callable[[T], object],
        *,
        timeout: float,
        deadline: float | None,
        last: PooledBackend | None,
        hedge_after: float,
    ) -> None:
        self._group = group
        self._attempt = attempt
        self._discard = discard
        self._timeout = timeout
        self._deadline = deadline
        self._last = last
        self._hedge_after = hedge_after
        self._tried: set[PooledBackend] = set()
        self._returned: set[PooledBackend] = set()
        self._again_until = asyncio.get_running_loop().time() + timeout
        self._none_left_at = float("-inf")
        self._under_way: dict[asyncio.Task[T | None], DialUnderWay] = {}

    async def run(self) -> T | None:
        """Return what the first successful dial brings; None: all have failed.

        When cancelled, nothing is left behind.
        """
        try:
            found = await self._find()
        except BaseException:
            for task in self._under_way:
                task.add_done_callback(self._ended_too_late)
                task.cancel()
            if self._under_way:
                await asyncio.wait(self._under_way)
            self._under_way.clear()  # each dial knows the search
            raise
        for task, dial in self._under_way.items():
            task.add_done_callback(self._ended_too_late)
            if not task.done():
                dial.outrun(was_silent=self._is_silent(dial))
        return found

    async def _find(self) -> T | None:
        now = asyncio.get_running_loop().time
        hedge = False
        while True:
            if hedge or not self._under_way:
                self._begin_next()
            if not self._under_way:
                return None
            due = self._hedge_due()
            done, _ = await asyncio.wait(
                self._under_way,
                timeout=None if due is None else max(0.0, due - now()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in [each for each in self._under_way if each in done]:
                backend = self._under_way.pop(task).backend
                found = task.result()
                if found is None:
                    continue
                if not backend.removed:
                    return found
                self._discard(found)  # removed since it has answered, some turns of the loop ago
            hedge = not done and due == self._hedge_due()  # else it has answered somebody

    def _begin_next(self) -> None:
        now = asyncio.get_running_loop().time()
        candidates = self._group.candidates(now, last=self._last, without=self._tried)
        left = self._timeout if self._deadline is None else self._deadline - now
        if candidates and left > 0:
            self._begin(candidates[0], min(left, self._timeout))
            return
        self._none_left_at = now
        if now < self._again_until:
            self._tried.intersection_update(dial.backend for dial in self._under_way.values())

    def _begin(self, backend: PooledBackend, seconds: float) -> None:
        self._tried.add(backend)
        dial = DialUnderWay(
            backend,
            self._group,
            self._tried,
            self._note_return,
            seconds,
            just_lost=backend is self._last,
            is_hedge=bool(self._under_way),
        )
        task = asyncio.get_running_loop().create_task(self._attempt(dial))
        task.add_done_callback(dial.ended)
        self._under_way[task] = dial

    def _note_return(self, backend: PooledBackend) -> None:
        """Try a backend again that is usable once more; not each time, it may come and go."""
        if backend not in self._tried or backend in self._returned:
            return
        if all(dial.backend is not backend for dial in self._under_way.values()):
            self._returned.add(backend)
            self._tried.discard(backend)

    def _hedge_due(self) -> float | None:
        """Return when another backend is dialled as well; None: not before a dial is over."""
        if not self._hedge_after or len(self._under_way) != 1:
            return None
        (dial,) = self._under_way.values()
        return max(dial.silent_since, self._none_left_at) + self._hedge_after

    def _is_silent(self, dial: DialUnderWay) -> bool:
        now = asyncio.get_running_loop().time()
        return self._hedge_after > 0 and now >= dial.silent_since + self._hedge_after

    def _ended_too_late(self, task: asyncio.Task[T | None]) -> None:
        if task.cancelled() or task.exception() is not None:
            return
        result = task.result()
        if result is not None:
            self._discard(result)
