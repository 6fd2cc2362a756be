"""Dials backends for one session."""

from __future__ import annotations

from collections.abc import Callable

from ...api import DialRequest
from ...pool.backends.backend_pool import PooledBackend
from ...pool.dialling.dial import Dialled, DialTerms
from ..all_sessions.session_context import SessionContext
from ..delivery.ledger import Ledger
from ..delivery.session_sink import SessionSink
from .dial_requests import DialRequests
from .replacement import Replacement


class SessionDials:
    """Dials a session's first backend and those that follow it, within the configured times.

    Each method raises what `Dialler.dial` raises: NoBackend or BackendDeclined.

    Args:
        requests: makes the request for each backend.
        ledger: says how much the next backend is sent again.
        context: what all sessions share.
    """

    __slots__ = ("_context", "_ledger", "_requests")

    def __init__(self, requests: DialRequests, ledger: Ledger, context: SessionContext) -> None:
        self._requests = requests
        self._ledger = ledger
        self._context = context

    async def first(self) -> Dialled[SessionSink]:
        """Dials the session's first backend; its client waits for an answer."""
        return await self._dial(self._requests.first(), last=None, deadline=None)

    async def next(
        self, subprotocol: str | None, lost: PooledBackend, deadline: float | None
    ) -> Dialled[SessionSink]:
        """Dials another backend after one was lost; this is one round.

        Args:
            subprotocol: the session's.
            lost: the lost backend; it is tried last.
            deadline: the clock's time at which the hold is over; None: no other round follows.
        """
        ledger = self._ledger
        request = self._requests.again(subprotocol, ledger.replayable, ledger.seen_up_to)
        return await self._dial(request, last=lost, deadline=deadline)

    async def beside(
        self,
        subprotocol: str | None,
        serving: PooledBackend,
        fit: Callable[[PooledBackend], bool] | None = None,
    ) -> Replacement:
        """Dials another backend while one still serves.

        Args:
            subprotocol: the session's.
            serving: the backend that serves; it is tried last.
            fit: returns whether a backend may be dialled; None: all may.
        """
        ledger = self._ledger
        replayed, seen_up_to = ledger.replayable, max(ledger.seen_up_to, ledger.given)
        deadline = self._context.clock.time() + self._context.failover.dial_timeout
        request = self._requests.again(subprotocol, replayed, seen_up_to)
        dialled = await self._dial(request, last=serving, deadline=deadline, fit=fit)
        return Replacement(dialled, replayed, seen_up_to)

    async def _dial(
        self,
        request: DialRequest,
        *,
        last: PooledBackend | None,
        deadline: float | None,
        fit: Callable[[PooledBackend], bool] | None = None,
    ) -> Dialled[SessionSink]:
        """Dials each backend once; without a deadline there is no other round."""
        context, options = self._context, self._context.failover
        can_wait = deadline is not None
        if deadline is None:
            deadline = context.clock.time() + options.search_timeout
        terms = DialTerms(
            request,
            SessionSink,
            timeout=options.dial_timeout if can_wait else options.search_dial_timeout,
            deadline=deadline,
            can_wait=can_wait,
            last=last,
            hedge_after=options.hedge_after,
            accepted=self._requests.acceptances.note,
        )
        return await context.dialler.dial(terms, fit)
