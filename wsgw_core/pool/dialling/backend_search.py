"""Finds a backend for one client: one dial after the other, and two at once where one is silent."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from ...api import Sink
from ..backends.backend_pool import PooledBackend
from ..backends.turn import Turn
from ..policy.backend_group import BackendGroup
from .dial import Dial, Dialled, DialSettings, Failure, Wish

_SHORTEST = 0.01  # seconds that are worth a dial; more than a timer may be too early

SinkT = TypeVar("SinkT", bound=Sink)


class NoBackend(Exception):
    """No backend could be had.

    Args:
        reason: one part for each that was tried.
        local: each dial failed for want of something of our own (see OutOfResources).
        retry_after: seconds after which the first of the backends wants to be tried again; 0: none
            has said when.
        timed_out: the time for all dials was over.
    """

    def __init__(
        self,
        reason: str,
        *,
        local: bool = False,
        retry_after: float = 0.0,
        timed_out: bool = False,
    ) -> None:
        self.local = local
        self.retry_after = retry_after
        self.timed_out = timed_out
        super().__init__(reason)


class BackendSearch(Generic[SinkT]):
    """One search. Each backend is tried once, and once more if it becomes usable again meanwhile.

    While the one that is dialled is silent, the next is dialled as well; never more than these two.
    Who succeeds first is taken. When there is no next one, all others are tried again after another
    such while, since one of them may be back; but not for longer than one dial may take.

    Args:
        group: the backends.
        wish: of the session.
        settings: of the dialler.
        timeout: bound of each dial in seconds.
        deadline: the loop's time at which even the last dial must be over.
        last: the backend to try after all others.
    """

    def __init__(
        self,
        group: BackendGroup,
        wish: Wish[SinkT],
        settings: DialSettings,
        *,
        timeout: float,
        deadline: float | None,
        last: PooledBackend | None,
    ) -> None:
        self._group = group
        self._wish = wish
        self._settings = settings
        self._timeout = timeout
        self._deadline = deadline
        self._last = last
        # For a session that can wait; see BackendGroup.choose. A scout is not waited for longer.
        self._looks_apart = settings.scouts_apart if wish.can_wait else None
        self._tried: set[PooledBackend] = set()
        self._returned: set[PooledBackend] = set()
        self._again_until = asyncio.get_running_loop().time() + timeout
        self._none_left_at = float("-inf")
        self._under_way: dict[asyncio.Task[Dialled[SinkT] | None], Dial[SinkT]] = {}
        self._failures: list[Failure] = []
        self._timed_out = False  # a dial was not begun for want of time

    async def run(self) -> Dialled[SinkT]:
        """Returns what the first successful dial brings. When cancelled, nothing is left behind.

        Raises:
            NoBackend: all have failed.
            BackendDeclined: one declined; no other was tried.
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
                dial.outrun(was_silent=dial.was_silent(self._wish.hedge_after))
        self._under_way.clear()  # each dial knows the search
        if found is None:
            raise self._no_backend()
        return found

    async def _find(self) -> Dialled[SinkT] | None:
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
                dial = self._under_way.pop(task)
                found = task.result()
                if dial.failure is not None:
                    self._failures.append(dial.failure)
                if found is None:
                    continue
                if not dial.backend.removed:
                    return found
                found.discard()  # removed since it has answered, some turns of the loop ago
            hedge = not done and due == self._hedge_due()  # else it has answered somebody

    def _begin_next(self) -> None:
        now = asyncio.get_running_loop().time()
        left = self._timeout if self._deadline is None else self._deadline - now
        if left < _SHORTEST:
            self._timed_out = True
            return
        turn = self._group.choose(
            now,
            self._wish.request,
            last=self._last,
            without=self._tried,
            looks_apart=self._looks_apart,
        )
        if turn is not None:
            self._begin(turn, min(left, self._timeout))
            return
        self._none_left_at = now
        if now < self._again_until:
            self._tried.intersection_update(dial.backend for dial in self._under_way.values())

    def _begin(self, turn: Turn, seconds: float) -> None:
        self._tried.add(turn.backend)
        dial = Dial(
            self._wish,
            self._settings,
            turn,
            self._group,
            self._tried,
            self._note_return,
            seconds,
            just_lost=turn.backend is self._last,
            is_hedge=bool(self._under_way),
            is_cut=seconds < self._timeout,
        )
        task = asyncio.get_running_loop().create_task(dial.run())
        task.add_done_callback(dial.ended)
        self._under_way[task] = dial

    def _note_return(self, backend: PooledBackend) -> None:
        """Tries a backend again that is usable once more; not each time, it may come and go."""
        if backend not in self._tried or backend in self._returned:
            return
        if all(dial.backend is not backend for dial in self._under_way.values()):
            self._returned.add(backend)
            self._tried.discard(backend)

    def _hedge_due(self) -> float | None:
        """Returns when another backend is dialled as well; None: not before a dial is over."""
        if self._timed_out or not self._wish.hedge_after or len(self._under_way) != 1:
            return None
        (dial,) = self._under_way.values()
        wait = self._wish.hedge_after
        none_was_left = self._none_left_at > dial.silent_since
        if (
            self._looks_apart is not None
            and dial.backend.absence.is_away
            and not (none_was_left and self._group.is_there)
        ):
            wait = min(wait, self._looks_apart)
        return max(dial.silent_since, self._none_left_at) + wait

    def _no_backend(self) -> NoBackend:
        reasons = "; ".join(failure.reason for failure in self._failures)
        return NoBackend(
            reasons or ("no time left" if self._timed_out else "no backend is enabled"),
            local=bool(self._failures) and all(failure.local for failure in self._failures),
            retry_after=self._group.rest(asyncio.get_running_loop().time()),
            timed_out=self._timed_out,
        )

    @staticmethod
    def _ended_too_late(task: asyncio.Task[Dialled[SinkT] | None]) -> None:
        if task.cancelled() or task.exception() is not None:
            return
        result = task.result()
        if result is not None:
            result.discard()
