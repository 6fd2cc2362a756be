"""A dial that has no answer yet, and is given up when another backend is the better choice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Self

from .backend_group import BackendGroup
from .backend_pool import PooledBackend


class DialUnderWay:
    """One dial of one backend, from the wait for its turn to the answer.

    It is given up when its backend is usable no more, or is the one that the client has just lost,
    while the group has another that is usable and was not tried. A trial is not: nobody else finds
    out whether the backend is back. Any dial is given up when another one was faster.

    An asynchronous context manager, like `asyncio.timeout`: what is in it is cancelled when the
    dial is given up or takes too long, and TimeoutError is raised.

    Args:
        backend: is dialled.
        group: of the backend.
        tried: the backends that are not tried again for this client, `backend` included.
        note_return: called with a backend that becomes usable meanwhile; takes it out of `tried`
            if it is to be tried again.
        seconds: how long the dial may take.
        just_lost: whether the client has just lost this backend, which may be frozen.
        is_hedge: whether it was begun beside another dial of the same client.

    Attributes:
        backend, seconds, is_hedge: see above.
        is_trial: whether it decides if others may follow.
        given_up: why it was given up; None: it was not.
        is_failure: whether that is a failure of the backend.
    """

    __slots__ = (
        "_begun",
        "_bound",
        "_group",
        "_just_lost",
        "_note_return",
        "_tried",
        "backend",
        "given_up",
        "is_failure",
        "is_hedge",
        "is_trial",
        "seconds",
    )

    def __init__(
        self,
        backend: PooledBackend,
        group: BackendGroup,
        tried: Collection[PooledBackend],
        note_return: Callable[[PooledBackend], object],
        seconds: float,
        *,
        just_lost: bool,
        is_hedge: bool,
    ) -> None:
        self.backend = backend
        self._group = group
        self._tried = tried
        self._note_return = note_return
        self._just_lost = just_lost
        self._bound: asyncio.Timeout | None = asyncio.timeout(seconds)
        self.seconds = seconds
        self.is_hedge = is_hedge
        self.is_trial = False
        self.given_up: str | None = None
        self.is_failure = False
        self._begun = asyncio.get_running_loop().time()
        backend.dialling += 1

    @property
    def silent_since(self) -> float:
        """The loop's time since which the backend has answered no dial, this one or another."""
        return max(self._begun, self.backend.answered_at)

    @property
    def others_were_answered(self) -> bool:
        """Whether the backend has answered another dial since this one began."""
        return self.backend.answered_at > self._begun

    @property
    def better_choice(self) -> str | None:
        """Why another backend, which is usable and was not tried, is the better choice, if so."""
        reason = self.backend.fault or ("another was usable again" if self._just_lost else None)
        return reason if reason and self._group.has_another(without=self._tried) else None

    def reconsider(self) -> None:
        """Give the dial up if there is a better choice; not a trial that has begun."""
        if not self.is_trial and (reason := self.better_choice):
            self._give_up(reason)

    def outrun(self, *, was_silent: bool) -> None:
        """Give the dial up, since another one was faster.

        Args:
            was_silent: whether its backend had time enough.
        """
        self.is_failure = was_silent
        self._give_up("another backend answered")

    def ended(self, _task: object) -> None:
        """Count it no more."""
        self.backend.dialling -= 1

    async def __aenter__(self) -> Self:
        """Begin: the bound is counted from now."""
        assert self._bound is not None, "entered twice"  # noqa: S101 - the caller's fault
        await self._bound.__aenter__()
        self._group.watch(self._changed)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; raises TimeoutError if it was given up or took too long."""
        self._group.unwatch(self._changed)
        bound, self._bound = self._bound, None  # which holds the task, and the task this
        if bound is not None:
            await bound.__aexit__(kind, error, trace)

    def _changed(self, backend: PooledBackend) -> None:
        if backend.usable:
            self._note_return(backend)
        self.reconsider()

    def _give_up(self, reason: str) -> None:
        bound = self._bound
        if self.given_up is None and bound is not None and not bound.expired():
            self.given_up = f"{reason} while it was dialled"
            bound.reschedule(asyncio.get_running_loop().time())
