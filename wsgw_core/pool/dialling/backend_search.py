"""Finds a backend for one client: one dial after another, or two in parallel if one is silent."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from ...api import Sink
from ..backends.backend_pool import PooledBackend
from ..backends.turn import Turn
from ..policy.backend_group import BackendGroup
from .dial import Dial, Dialled, DialSettings, DialTerms, Failure

_SHORTEST = 0.01  # the minimum seconds for a dial; more than a timer may be early

SinkT = TypeVar("SinkT", bound=Sink)


class NoBackend(Exception):
    """No backend was found.

    Args:
        reason: one part for each backend that was tried.
        local: whether the gateway's machine caused all failures (see OutOfResources).
        retry_after: seconds until the first backend accepts dials again; 0: unknown.
        timed_out: whether the time for all dials was over.
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
    """One search. It tries each backend once, and once more if it becomes usable meanwhile.

    While the dialled backend is silent for `hedge_after`, the search dials the next one in
    parallel; at most two dials run at a time. The first success wins. If there is no next backend,
    the search tries the others again at the same interval, because one of them may be back, but for
    no longer than one dial may take.

    Args:
        group: the backends.
        terms: the terms of all dials.
        settings: the settings of the dialler.

    Attributes:
        group, terms, settings: see above.
        tried: the backends that are not tried again for this client, or not yet.
    """

    def __init__(
        self, group: BackendGroup, terms: DialTerms[SinkT], settings: DialSettings
    ) -> None:
        self.group = group
        self.terms = terms
        self.settings = settings
        # For a session that can wait; see BackendGroup.choose. It waits no longer for a scout.
        self._looks_apart = settings.scouts_apart if terms.can_wait else None
        self.tried: set[PooledBackend] = set()
        self._returned: set[PooledBackend] = set()
        self._again_until = asyncio.get_running_loop().time() + terms.timeout
        self._none_left_at = float("-inf")
        self._dials: dict[asyncio.Task[Dialled[SinkT] | None], Dial[SinkT]] = {}  # in progress
        self._failures: list[Failure] = []
        self._timed_out = False  # there was no time for another dial

    async def run(self) -> Dialled[SinkT]:
        """Returns the first connection. If it is cancelled, nothing is left behind.

        Raises:
            NoBackend: all dials have failed.
            BackendDeclined: a backend has declined; no other was tried.
        """
        try:
            found = await self._find()
        except BaseException:
            for task in self._dials:
                task.add_done_callback(self._ended_too_late)
                task.cancel()
            if self._dials:
                await asyncio.wait(self._dials)
            self._dials.clear()  # each dial refers to the search
            raise
        for task, dial in self._dials.items():
            task.add_done_callback(self._ended_too_late)
            if not task.done():
                dial.outrun(was_silent=dial.was_silent(self.terms.hedge_after))
        self._dials.clear()  # each dial refers to the search
        if found is None:
            raise self._no_backend()
        return found

    async def _find(self) -> Dialled[SinkT] | None:
        now = asyncio.get_running_loop().time
        hedge = False
        while True:
            if hedge or not self._dials:
                self._begin_next()
            if not self._dials:
                return None
            due = self._hedge_due()
            done, _ = await asyncio.wait(
                self._dials,
                timeout=None if due is None else max(0.0, due - now()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in [each for each in self._dials if each in done]:
                dial = self._dials.pop(task)
                found = task.result()
                if dial.failure is not None:
                    self._failures.append(dial.failure)
                if found is None:
                    continue
                if not dial.backend.removed:
                    return found
                found.discard()  # the backend was removed after its answer, some turns ago
            hedge = not done and due == self._hedge_due()  # else it has answered another client

    def _begin_next(self) -> None:
        now, terms = asyncio.get_running_loop().time(), self.terms
        left = terms.timeout if terms.deadline is None else terms.deadline - now
        if left < _SHORTEST:
            self._timed_out = True
            return
        turn = self.group.choose(
            now,
            terms.request,
            last=terms.last,
            without=self.tried,
            looks_apart=self._looks_apart,
        )
        if turn is not None:
            self._begin(turn, min(left, terms.timeout))
            return
        self._none_left_at = now
        if now < self._again_until:
            self.tried.intersection_update(dial.backend for dial in self._dials.values())

    def _begin(self, turn: Turn, seconds: float) -> None:
        self.tried.add(turn.backend)
        dial = Dial(self, turn, seconds, is_hedge=bool(self._dials))
        task = asyncio.get_running_loop().create_task(dial.run())
        task.add_done_callback(dial.ended)
        self._dials[task] = dial

    def note_return(self, backend: PooledBackend) -> None:
        """Allows another dial of a backend that is usable again; only once, since it may flap."""
        if backend not in self.tried or backend in self._returned:
            return
        if all(dial.backend is not backend for dial in self._dials.values()):
            self._returned.add(backend)
            self.tried.discard(backend)

    def _hedge_due(self) -> float | None:
        """Returns when to dial another backend in parallel; None: not before a dial is over."""
        if self._timed_out or not self.terms.hedge_after or len(self._dials) != 1:
            return None
        (dial,) = self._dials.values()
        wait = self.terms.hedge_after
        none_was_left = self._none_left_at > dial.silent_since
        if (
            self._looks_apart is not None
            and dial.backend.absence.is_away
            and not (none_was_left and self.group.is_there)
        ):
            wait = min(wait, self._looks_apart)
        return max(dial.silent_since, self._none_left_at) + wait

    def _no_backend(self) -> NoBackend:
        reasons = "; ".join(failure.reason for failure in self._failures)
        return NoBackend(
            reasons or ("search timed out" if self._timed_out else "no backend is enabled"),
            local=bool(self._failures) and all(failure.local for failure in self._failures),
            retry_after=self.group.rest(asyncio.get_running_loop().time()),
            timed_out=self._timed_out,
        )

    @staticmethod
    def _ended_too_late(task: asyncio.Task[Dialled[SinkT] | None]) -> None:
        if task.cancelled() or task.exception() is not None:
            return
        result = task.result()
        if result is not None:
            result.discard()
