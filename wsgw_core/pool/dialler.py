"""Gives a session a connection: makes the dials of a search for a backend."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from ..api import (
    BackendConnection,
    BackendDeclined,
    BackendUnavailable,
    BackendUnreachable,
    DialRequest,
    OutOfResources,
    Sink,
    UnusableAnswer,
)
from ..metrics.counters import GatewayCounters
from ..rare_warning import RareWarning
from ..tracebacks import drop_tracebacks
from .backend_group import BackendGroup
from .backend_pool import PooledBackend
from .backend_search import BackendSearch
from .dial_gates import DialGates
from .dial_under_way import DialUnderWay

SinkT = TypeVar("SinkT", bound=Sink)


class NoBackend(Exception):
    """No backend could be had.

    Args:
        reason: one part for each that was tried.
        local: each dial failed for want of something of our own (see OutOfResources).
    """

    def __init__(self, reason: str, *, local: bool = False) -> None:
        self.local = local
        super().__init__(reason)


class _NotDialled(Exception):
    """A backend was passed over, through no fault of its own."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a dial has failed, and whether for want of something of our own."""

    reason: str
    local: bool = False


@dataclass(frozen=True, slots=True)
class Dialled(Generic[SinkT]):
    """A backend's connection and the sink it was made with."""

    backend: PooledBackend
    connection: BackendConnection
    sink: SinkT


class Dialler:
    """Dials for sessions.

    Args:
        group: the backends.
        gates: shared by all that dial these backends.
        retry_statuses: declining answers that count as unavailable during a failover.
        counters: of the gateway.
        logger: for failed dials.
    """

    def __init__(
        self,
        group: BackendGroup,
        gates: DialGates,
        retry_statuses: tuple[int, ...],
        counters: GatewayCounters,
        logger: logging.Logger,
    ) -> None:
        self._group = group
        self._gates = gates
        self._retry_statuses = frozenset(retry_statuses)
        self._counters = counters
        self._logger = logger
        self._warn = RareWarning(logger)

    @property
    def group(self) -> str:
        """The name of the group of the backends."""
        return self._group.name

    def has_another(self, backend: PooledBackend) -> bool:
        """Tell whether the group has another backend that takes part as it should."""
        return self._group.has_another(without=(backend,))

    async def dial(
        self,
        request: DialRequest,
        make_sink: Callable[[], SinkT],
        *,
        timeout: float,  # noqa: ASYNC109 - of each attempt, not of the call
        deadline: float | None = None,
        last: PooledBackend | None = None,
        hedge_after: float = 0.0,
    ) -> Dialled[SinkT]:
        """Try the backends that the group offers; see BackendSearch and DialUnderWay.

        Args:
            request: what the session wants; when it is a reconnect, the backend must choose the
                one subprotocol that is offered, or none when none is.
            make_sink: called for each attempt.
            timeout: bound of each dial in seconds.
            deadline: the loop's time at which even the last dial must be over.
            last: the backend to try after all others.
            hedge_after: seconds after which another backend is dialled as well; 0: never.

        Raises:
            NoBackend: all failed.
            BackendDeclined: one declined; no other was tried.
        """
        failures: list[_Failure] = []
        search = BackendSearch(
            self._group,
            partial(self._try, request, make_sink, failures, deadline is not None),
            _discard,
            timeout=timeout,
            deadline=deadline,
            last=last,
            hedge_after=hedge_after,
        )
        dialled = await search.run()
        if dialled is None:
            raise NoBackend(
                "; ".join(failure.reason for failure in failures)
                or "no backend is enabled, or no time left",
                local=bool(failures) and all(failure.local for failure in failures),
            )
        return dialled

    async def _try(
        self,
        request: DialRequest,
        make_sink: Callable[[], SinkT],
        failures: list[_Failure],
        comes_again: bool,
        dial: DialUnderWay,
    ) -> Dialled[SinkT] | None:
        """Make one dial; None when it has failed, which is noted."""
        pooled = dial.backend
        self._counters.dials_hedged.value += dial.is_hedge
        try:
            return await self._in_turn(request, make_sink, dial, comes_again=comes_again)
        except BackendDeclined:
            self._counters.dials_declined.value += 1
            raise
        except _NotDialled as why:
            failure = _Failure(f"{pooled.id}: {why}")
            drop_tracebacks(why)
        except OutOfResources as lack:
            failure = _Failure(f"{pooled.id}: {lack.reason}", local=True)
            self._counters.local_dial_errors.value += 1
            self._warn("the gateway itself could not dial: %s", failure.reason)
            drop_tracebacks(lack)
        except BackendUnavailable as unavailable:
            failure = _Failure(f"{pooled.id}: {unavailable.reason}")
            self._counters.dials_failed.value += 1
            _hold_against(pooled, unavailable)
            drop_tracebacks(unavailable)
        failures.append(failure)
        self._logger.info(
            "session %s: dial failed: %s",
            request.session_id,
            failure.reason,
            extra={"session": request.session_id, "backend": pooled.id, "reason": failure.reason},
        )
        return None

    async def _in_turn(
        self,
        request: DialRequest,
        make_sink: Callable[[], SinkT],
        dial: DialUnderWay,
        *,
        comes_again: bool,
    ) -> Dialled[SinkT]:
        """Dial one backend when it is this dial's turn."""
        pooled = dial.backend
        gate = self._gates.of(pooled)
        has_turn = False
        try:
            async with dial:
                if gate.is_full:  # a trial that cannot begin now is not worth the wait
                    dial.reconsider()
                if why_not := _why_not(dial, comes_again=comes_again) or await gate.enter():
                    raise _NotDialled(why_not)
                has_turn = True
                try:
                    if why_not := _why_not(dial):
                        raise _NotDialled(why_not)
                    return await self._attempt(request, make_sink(), dial)
                except BackendUnreachable as unreachable:
                    if pooled.breaker.tripped:
                        gate.turn_away(unreachable.reason)
                    raise
                finally:
                    gate.leave()
        except TimeoutError as error:
            raise self._cut_short(dial, has_turn=has_turn) from error

    def _cut_short(self, dial: DialUnderWay, *, has_turn: bool) -> _NotDialled | BackendUnavailable:
        """Return what became of a dial that was given up or took too long."""
        if dial.given_up:
            if dial.is_failure and has_turn:
                return BackendUnreachable(dial.given_up)
            self._counters.dials_given_up.value += 1
            return _NotDialled(dial.given_up)
        if not has_turn:
            return _NotDialled(f"other dials left no room for {dial.seconds:g} s")
        reason = f"dial took longer than {dial.seconds:g} s"
        # where others were answered, it is this request that takes so long
        return UnusableAnswer(reason) if dial.others_were_answered else BackendUnreachable(reason)

    async def _attempt(
        self, request: DialRequest, sink: SinkT, dial: DialUnderWay
    ) -> Dialled[SinkT]:
        """Dial one backend; raises BackendDeclined or BackendUnavailable."""
        pooled = dial.backend
        dial.is_trial = pooled.breaker.begin()
        clock = asyncio.get_running_loop()
        begun = clock.time()
        try:
            connection = await pooled.backend.connect(request, sink)
            chosen = connection.subprotocol  # here, since what is no connection is a fault too
        except BackendDeclined as declined:
            pooled.answered(clock.time())
            if not request.reconnect or declined.status not in self._retry_statuses:
                raise
            raise UnusableAnswer(str(declined)) from declined
        except UnusableAnswer:
            pooled.answered(clock.time())
            raise
        except BackendUnavailable:
            raise
        except Exception as error:
            self._logger.exception("backend %s: fault in its plugin", pooled.id)
            reason = f"fault in its plugin: {type(error).__name__}"
            raise BackendUnavailable(reason) from error
        finally:
            if dial.is_trial:
                pooled.breaker.end_trial()
        expected = request.subprotocols[0] if request.subprotocols else None
        if request.reconnect and chosen != expected:
            pooled.answered(clock.time())
            connection.close(1002, "not the session's subprotocol")
            raise UnusableAnswer(f"chose subprotocol {chosen!r} instead of {expected!r}")
        if pooled.removed:
            connection.close(1001, "backend was removed")
            raise UnusableAnswer("was removed while it was dialled")
        pooled.connected(clock.time())
        self._counters.dials_succeeded.value += 1
        self._counters.dial_durations.observe(clock.time() - begun)
        return Dialled(pooled, connection, sink)


def _why_not(dial: DialUnderWay, *, comes_again: bool = False) -> str:
    """Return why a dial is not made after all; empty: it is.

    Args:
        dial: not begun.
        comes_again: whether the session will try again soon, and so need not wait now.
    """
    pooled, now = dial.backend, asyncio.get_running_loop().time()
    if not pooled.enabled or pooled.removed:
        return "was taken out while others were dialling"
    if pooled.breaker.allows(now):
        return ""
    if dial.better_choice:
        return "has tripped while others were dialling"
    return "has tripped" if comes_again and not pooled.breaker.allows_retry(now) else ""


def _hold_against(pooled: PooledBackend, unavailable: BackendUnavailable) -> None:
    match unavailable:
        case BackendUnreachable():
            counts = True
        case UnusableAnswer():
            counts = False
        case _:
            counts = not pooled.proved
    pooled.failed(asyncio.get_running_loop().time(), unavailable.reason, counts=counts)


def _discard(dialled: Dialled[SinkT]) -> None:
    dialled.connection.close(1001, "is not needed any more")
