"""A dial that has no answer yet, and is given up when another backend is the better choice."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from .backend_group import BackendGroup
from .backend_pool import PooledBackend


class DialUnderWay:
    """One dial of one backend, from the wait for its turn to the answer.

    It is given up when its backend is usable no more, or is the one that the client has just lost,
    while the group has another that is usable and was not tried. A trial is not: nobody else finds
    out whether the backend is back.

    An asynchronous context manager, like `asyncio.timeout`: what is in it is cancelled when the
    dial is given up or takes too long, and TimeoutError is raised.

    Args:
        backend: is dialled.
        group: of the backend.
        tried: the backends that are not tried again for this client, `backend` included; another
            that becomes usable meanwhile is taken out.
        just_lost: whether the client has just lost this backend, which may be frozen.
        seconds: how long the dial may take.

    Attributes:
        seconds: see above.
        is_trial: whether it decides if others may follow.
        given_up: why it was given up; None: it was not.
    """

    __slots__ = (
        "_backend",
        "_bound",
        "_group",
        "_just_lost",
        "_tried",
        "given_up",
        "is_trial",
        "seconds",
    )

    def __init__(
        self,
        backend: PooledBackend,
        group: BackendGroup,
        tried: set[PooledBackend],
        *,
        just_lost: bool,
        seconds: float,
    ) -> None:
        self._backend = backend
        self._group = group
        self._tried = tried
        self._just_lost = just_lost
        self.seconds = seconds
        self._bound = asyncio.timeout(seconds)
        self.is_trial = False
        self.given_up: str | None = None

    async def __aenter__(self) -> Self:
        """Begin: the bound is counted from now."""
        await self._bound.__aenter__()
        self._backend.dialling += 1
        self._group.watch(self._reconsider)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; raises TimeoutError if it was given up or took too long."""
        self._group.unwatch(self._reconsider)
        self._backend.dialling -= 1
        await self._bound.__aexit__(kind, error, trace)

    def _reconsider(self, changed: PooledBackend) -> None:
        """Give the dial up if there is a better choice, now that a backend has changed."""
        if changed.usable and changed is not self._backend:
            self._tried.discard(changed)  # it is back
        if self.is_trial or self.given_up or self._bound.expired():
            return
        reason = self._backend.fault or ("another was usable again" if self._just_lost else None)
        if reason is not None and self._group.has_another(without=self._tried):
            self.given_up = f"{reason} while it was dialled"
            self._bound.reschedule(asyncio.get_running_loop().time())
