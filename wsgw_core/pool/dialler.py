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
    CloseCause,
    DialRequest,
    OutOfResources,
    Sink,
    UnusableAnswer,
)
from ..api.rare_warning import RareWarning
from ..metrics.counters import GatewayCounters
from ..tracebacks import drop_tracebacks
from .backend_group import BackendGroup
from .backend_pool import PooledBackend
from .backend_search import BackendSearch
from .dial_gate import NotDialled
from .dial_gates import DialGates
from .dial_under_way import DialUnderWay

SinkT = TypeVar("SinkT", bound=Sink)


class NoBackend(Exception):
    """No backend could be had.

    Args:
        reason: one part for each that was tried.
        local: each dial failed for want of something of our own (see OutOfResources).
        retry_after: seconds after which the first of the backends wants to be tried again; 0: none
            has said when.
    """

    def __init__(self, reason: str, *, local: bool = False, retry_after: float = 0.0) -> None:
        self.local = local
        self.retry_after = retry_after
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a dial has failed, and whether for want of something of our own."""

    reason: str
    local: bool = False


@dataclass(frozen=True, slots=True)
class Dialled(Generic[SinkT]):
    """A backend's connection and the sink it was made with.

    Attributes:
        losses: the backend's, when the dial succeeded: if it has changed, this connection is lost.
    """

    backend: PooledBackend
    connection: BackendConnection
    sink: SinkT
    losses: int


def _nobody_listens(_backend: PooledBackend) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Wish(Generic[SinkT]):
    """What a session wants of each backend that is dialled for it; see Dialler.dial."""

    request: DialRequest
    make_sink: Callable[[], SinkT]
    accepted: Callable[[PooledBackend], object]
    comes_again: bool


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
        accepted: Callable[[PooledBackend], object] = _nobody_listens,
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
            accepted: called with each backend that gives a connection, taken or not; perhaps after
                the end of this call.

        Raises:
            NoBackend: all failed.
            BackendDeclined: one declined; no other was tried.
        """
        failures: list[_Failure] = []
        wish = _Wish(request, make_sink, accepted, comes_again=deadline is not None)
        search = BackendSearch(
            self._group,
            partial(self._try, wish, failures),
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
                retry_after=self._group.rest(asyncio.get_running_loop().time()),
            )
        return dialled

    async def _try(
        self, wish: _Wish[SinkT], failures: list[_Failure], dial: DialUnderWay
    ) -> Dialled[SinkT] | None:
        """Make one dial; None when it has failed, which is noted."""
        pooled, request = dial.backend, wish.request
        self._counters.dials_hedged.value += dial.is_hedge
        try:
            return await self._in_turn(wish, dial)
        except BackendDeclined:
            self._counters.dials_declined.value += 1
            raise
        except NotDialled as why:
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

    async def _in_turn(self, wish: _Wish[SinkT], dial: DialUnderWay) -> Dialled[SinkT]:
        """Dial one backend when it is this dial's turn."""
        pooled = dial.backend
        gate = self._gates.of(pooled)
        has_turn = answered = False
        try:
            async with dial:
                if gate.is_full:  # a trial that cannot begin now is not worth the wait
                    dial.reconsider()
                if why_not := _why_not(dial, comes_again=wish.comes_again):
                    raise NotDialled(why_not)
                turn = await gate.enter()
                has_turn = True
                try:
                    while pooled.outage.is_probed:
                        dial.reconsider()
                        await pooled.outage.until_probed()
                    if why_not := _why_not(dial):
                        raise NotDialled(why_not)
                    dialled = await self._attempt(wish, dial)
                except (BackendDeclined, UnusableAnswer):
                    answered = True
                    raise
                except BackendUnreachable as unreachable:
                    if pooled.breaker.tripped:
                        gate.turn_away(unreachable.reason)
                    raise
                else:
                    answered = True
                    return dialled
                finally:
                    gate.leave(turn, answered=answered)
        except TimeoutError as error:
            raise self._cut_short(dial, has_turn=has_turn) from error

    def _cut_short(self, dial: DialUnderWay, *, has_turn: bool) -> NotDialled | BackendUnavailable:
        """Return what became of a dial that was given up or took too long."""
        if dial.given_up:
            if dial.is_failure and has_turn:
                return BackendUnreachable(dial.given_up)
            self._counters.dials_given_up.value += 1
            return NotDialled(dial.given_up)
        if not has_turn:
            return NotDialled(f"other dials left no room for {dial.seconds:g} s")
        reason = f"dial took longer than {dial.seconds:g} s"
        # where others were answered, it is this request that takes so long
        return UnusableAnswer(reason) if dial.others_were_answered else BackendUnreachable(reason)

    async def _attempt(self, wish: _Wish[SinkT], dial: DialUnderWay) -> Dialled[SinkT]:
        """Dial one backend; raises BackendDeclined or BackendUnavailable."""
        pooled, request, sink = dial.backend, wish.request, wish.make_sink()
        is_trial, is_probe = pooled.breaker.begin(), pooled.outage.begin_dial()
        dial.is_trial = is_trial or is_probe
        has_failed = False
        clock = asyncio.get_running_loop()
        begun = clock.time()
        try:
            connection = await pooled.backend.connect(request, sink)
            wish.accepted(pooled)
            pooled.come_up()
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
            has_failed = True
            raise
        except Exception as error:
            has_failed = True
            self._logger.exception("backend %s: fault in its plugin", pooled.id)
            reason = f"fault in its plugin: {type(error).__name__}"
            raise BackendUnavailable(reason) from error
        finally:
            if is_trial:
                pooled.breaker.end_trial()
            if is_probe:
                pooled.outage.end_probe(clock.time(), failed=has_failed)
        expected = request.subprotocols[0] if request.subprotocols else None
        if request.reconnect and chosen != expected:
            pooled.answered(clock.time())
            connection.close(1002, "not the session's subprotocol", CloseCause.SESSION_MOVES)
            raise UnusableAnswer(f"chose subprotocol {chosen!r} instead of {expected!r}")
        if pooled.removed:
            connection.close(1001, "backend was removed", CloseCause.SESSION_MOVES)
            raise UnusableAnswer("was removed while it was dialled")
        pooled.connected(clock.time())
        self._counters.dials_succeeded.value += 1
        self._counters.dial_durations.observe(clock.time() - begun)
        return Dialled(pooled, connection, sink, pooled.losses)


def _why_not(dial: DialUnderWay, *, comes_again: bool = False) -> str:
    """Return why a dial is not made after all; empty: it is.

    Args:
        dial: not begun.
        comes_again: whether the session will try again soon, and so need not wait now.
    """
    pooled, now = dial.backend, asyncio.get_running_loop().time()
    if not pooled.enabled or pooled.removed:
        return "was taken out while others were dialling"
    if not pooled.outage.allows(now):
        return f"is down: {pooled.outage.reason}"
    if pooled.breaker.allows(now):
        return ""
    if dial.better_choice:
        return "has tripped while others were dialling"
    return "has tripped" if comes_again and not pooled.breaker.allows_retry(now) else ""


def _hold_against(pooled: PooledBackend, unavailable: BackendUnavailable) -> None:
    unreachable = isinstance(unavailable, BackendUnreachable)
    counts = unreachable or not (pooled.proved or isinstance(unavailable, UnusableAnswer))
    now = asyncio.get_running_loop().time()
    pooled.failed(now, unavailable.reason, counts=counts, unreachable=unreachable)
    if unavailable.retry_after > 0:
        pooled.go_down(now, unavailable.reason, unavailable.retry_after)


def _discard(dialled: Dialled[SinkT]) -> None:
    dialled.connection.close(1001, "is not needed any more", CloseCause.SESSION_MOVES)
