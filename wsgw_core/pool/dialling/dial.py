"""One dial of one backend: the wait for its turn, the attempt, and the outcome."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ...api import (
    BackendDeclined,
    BackendUnavailable,
    BackendUnreachable,
    CloseCause,
    DialRequest,
    OutOfResources,
    Sink,
    UnusableAnswer,
)
from ...api.rare_warning import RareWarning
from ...cancellation import is_cancelled
from ...metrics.counters import GatewayCounters
from ...tracebacks import drop_tracebacks
from ...websocket import session_ends
from ..backends.backend_pool import PooledBackend
from ..backends.guarded_connection import GuardedConnection
from ..backends.turn import Turn
from .dial_limiter import DialLimiters, NotDialled

if TYPE_CHECKING:
    from .backend_search import BackendSearch

_PROXY_AUTHENTICATION = 407  # a client cannot answer this: it asks the gateway, not the client

SinkT = TypeVar("SinkT", bound=Sink)


@dataclass(frozen=True, slots=True)
class DialSettings:
    """The settings of all dials of a dialler.

    Attributes:
        limiters: shared by all diallers of these backends.
        retry_statuses: declining statuses that count as unavailable during a failover.
        counters: the gateway's counters.
        logger: logs failed dials.
        warn: logs what happens often.
        scouts_apart: see Lookout.apart.
    """

    limiters: DialLimiters
    retry_statuses: frozenset[int]
    counters: GatewayCounters
    logger: logging.Logger
    warn: RareWarning
    scouts_apart: float


@dataclass(frozen=True, slots=True)
class DialTerms(Generic[SinkT]):
    """The terms of all dials of one search.

    Attributes:
        request: the session's request. During a failover, the backend must choose the one
            subprotocol in it, or none if it has none.
        make_sink: called for each dial.
        timeout: maximum seconds of each dial.
        deadline: the loop's time at which even the last dial must be over.
        can_wait: whether the session tries again later if no backend is found. It then leaves the
            dials of backends that are away to one scout; see Absence.
        last: the backend that the session has just lost or wants to leave; tried after all others.
        hedge_after: dial another backend in parallel after so many seconds without an answer; 0:
            never.
        accepted: called with each backend that returns a connection, used or not; perhaps after
            the end of the search.
    """

    request: DialRequest
    make_sink: Callable[[], SinkT]
    timeout: float
    deadline: float | None = None
    can_wait: bool = False
    last: PooledBackend | None = None
    hedge_after: float = 0.0
    accepted: Callable[[PooledBackend], object] = lambda _backend: None


@dataclass(frozen=True, slots=True)
class Dialled(Generic[SinkT]):
    """A new connection to a backend, with its sink.

    Attributes:
        losses: the backend's `losses` when the dial succeeded. If they have changed since, this
            connection is lost.
    """

    backend: PooledBackend
    connection: GuardedConnection
    sink: SinkT
    losses: int

    def discard(self) -> None:
        """Closes the connection without starting it."""
        self.connection.close(
            session_ends.NOT_NEEDED.backend,
            "connection is no longer needed",
            CloseCause.SESSION_MOVES,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a dial has failed, and whether the gateway's machine is the cause."""

    reason: str
    local: bool = False


class Dial(Generic[SinkT]):
    """One dial of one backend.

    It stops early if the group has another usable backend that was not tried, and this backend
    becomes unusable or is the one that the client has just lost. A trial does not stop, because
    only the trial finds out whether the backend is back. Any dial stops when a parallel one was
    faster.

    Args:
        search: the search to which it belongs.
        turn: the turn of the backend to dial.
        seconds: maximum seconds of the dial.
        is_hedge: whether it runs in parallel to another dial of the same client.

    Attributes:
        backend: the backend that is dialled.
        failure: why the dial has failed; None: it has not.
    """

    def __init__(
        self, search: BackendSearch[SinkT], turn: Turn, seconds: float, *, is_hedge: bool
    ) -> None:
        self._search = search
        self._terms = search.terms
        self._settings = search.settings
        self._group = search.group
        self.backend = turn.backend
        self._turn = turn
        self._bound: asyncio.Timeout | None = asyncio.timeout(seconds)
        self._seconds = seconds
        self._is_hedge = is_hedge
        self._is_trial = False  # its outcome decides whether other dials may follow
        self._given_up: str | None = None  # why
        self._is_failure = False  # giving it up counts as a failure of the backend
        self._was_tried = False  # the backend was dialled, or waited for in vain
        self._begun = asyncio.get_running_loop().time()
        self.failure: Failure | None = None
        self.backend.dialling += 1

    async def run(self) -> Dialled[SinkT] | None:
        """Dials; returns the connection, or None if the dial has failed.

        Raises:
            BackendDeclined: the backend refuses this client.
        """
        counters = self._settings.counters
        counters.dials_hedged.value += self._is_hedge
        try:
            return await self._in_turn()
        except BackendDeclined:
            counters.dials_declined.value += 1
            raise
        except (NotDialled, BackendUnavailable) as error:
            self._failed(error)
            drop_tracebacks(error)
        return None

    def _failed(self, error: NotDialled | BackendUnavailable) -> None:
        counters, name = self._settings.counters, self.backend.id
        is_local = isinstance(error, OutOfResources)
        self.failure = Failure(f"{name}: {error}", is_local)
        if is_local:
            counters.local_dial_errors.value += 1
            self._settings.warn("the gateway cannot dial: %s", self.failure.reason)
        elif isinstance(error, BackendUnavailable):
            counters.dials_failed.value += 1
            _hold_against(self.backend, error)
        session_id, reason = self._terms.request.session_id, self.failure.reason
        self._settings.logger.info(
            "session %s: dial failed: %s",
            session_id,
            reason,
            extra={"session": session_id, "backend": name, "reason": reason},
        )

    @property
    def silent_since(self) -> float:
        """The loop's time since which the backend has answered no dial of any session."""
        return max(self._begun, self.backend.answered_at)

    def was_silent(self, seconds: float) -> bool:
        """Returns whether the backend has answered no dial for `seconds`; false if they are 0."""
        now = asyncio.get_running_loop().time()
        return seconds > 0 and now >= self.silent_since + seconds

    def outrun(self, *, was_silent: bool) -> None:
        """Stops the dial, because a parallel one was faster.

        Args:
            was_silent: whether the backend was silent for long, which counts as its failure.
        """
        self._is_failure = was_silent
        self._was_tried = True  # else every client would get this backend first
        self._give_up("another backend answered first")

    def ended(self, task: asyncio.Task[Any]) -> None:
        """Removes the dial from the backend's load; without an attempt, the turn is given back."""
        self.backend.dialling -= 1
        if not (self._was_tried or task.cancelled()):
            self._turn.give_back()

    # Its steps

    async def _in_turn(self) -> Dialled[SinkT]:
        """Waits for the dial's turn and dials, until the dial is given up or times out."""
        bound, limiter = self._bound, self._settings.limiters.of(self.backend)
        assert bound is not None, "runs twice"  # noqa: S101 - the caller's fault
        has_turn = answered = False
        try:
            async with bound:
                self._group.watch(self._changed)
                try:
                    if limiter.is_full:  # do not wait for the turn of a trial
                        self._reconsider()
                    self._check(is_first_look=True)
                    turn = await limiter.enter()
                    has_turn = True
                    try:
                        dialled = await self._when_probed()
                    except (BackendDeclined, UnusableAnswer):
                        answered = True
                        raise
                    except BackendUnreachable as unreachable:
                        if self.backend.breaker.tripped:
                            limiter.turn_away(unreachable.reason)
                        raise
                    else:
                        answered = True
                        return dialled
                    finally:
                        limiter.leave(turn, answered=answered)
                finally:
                    self._group.unwatch(self._changed)
                    self._bound = None
        except TimeoutError as error:
            raise self._cut_short(has_turn=has_turn) from error
        finally:
            del bound  # it refers to the task, whose error refers to this frame

    async def _when_probed(self) -> Dialled[SinkT]:
        """Waits for the backend's probe if there is one, then dials."""
        backend, counters = self.backend, self._settings.counters
        while backend.outage.is_probed:
            self._reconsider()
            await backend.outage.until_probed()
        self._check()
        with backend.absence.dial(as_scout=self._terms.can_wait) as is_scout:
            counters.dials_scouting.value += is_scout
            return await self._attempt()

    def _cut_short(self, *, has_turn: bool) -> NotDialled | BackendUnavailable:
        """Returns the error of a dial that was given up or timed out.

        Args:
            has_turn: whether the backend was dialled.
        """
        if self._given_up:
            if self._is_failure and has_turn:
                return BackendUnreachable(self._given_up)
            self._settings.counters.dials_given_up.value += 1
            return NotDialled(self._given_up)
        if not has_turn:
            self._was_tried = True
            return NotDialled(f"no free dial slot for {self._seconds:g} s")
        reason = f"dial took longer than {self._seconds:g} s"
        is_cut = self._seconds < self._terms.timeout  # the client's time was almost over
        if is_cut and not self.was_silent(self._terms.hedge_after):
            return NotDialled(f"dial took longer than the remaining {self._seconds:g} s")
        # if the backend answered others meanwhile, this request is the slow one
        others_were_answered = self.backend.answered_at > self._begun
        return UnusableAnswer(reason) if others_were_answered else BackendUnreachable(reason)

    def _check(self, *, is_first_look: bool = False) -> None:
        """Raises NotDialled if the backend is not to be dialled any more.

        Args:
            is_first_look: whether the dial has not waited for its turn yet.
        """
        backend, now = self.backend, asyncio.get_running_loop().time()
        can_wait = self._terms.can_wait
        if not backend.enabled or backend.removed:
            raise NotDialled("was disabled or removed while the dial waited")
        if not backend.outage.allows(now):
            raise NotDialled(f"is down: {backend.outage.reason}")
        if can_wait and not backend.absence.allows(now, self._settings.scouts_apart):
            raise NotDialled("is away; another session checks whether it is back")
        if backend.breaker.allows(now):
            return
        if self._better_choice:
            raise NotDialled("its breaker tripped while the dial waited")
        waits = is_first_look and can_wait and not backend.absence.is_away
        if waits and not backend.breaker.allows_retry(now):
            raise NotDialled("its breaker has tripped")

    async def _attempt(self) -> Dialled[SinkT]:
        """Dials one backend; raises BackendDeclined or BackendUnavailable."""
        pooled, request, sink = self.backend, self._terms.request, self._terms.make_sink()
        settings = self._settings
        is_trial, is_probe = pooled.breaker.begin(), pooled.outage.begin_dial()
        self._is_trial = is_trial or is_probe
        self._was_tried = True
        has_failed = False
        clock = asyncio.get_running_loop()
        begun = clock.time()
        try:
            connection = await self._connect(sink)
        except BackendDeclined as declined:
            pooled.answered(clock.time())
            unusable = declined.status == _PROXY_AUTHENTICATION
            if not unusable and not (
                request.reconnect and declined.status in settings.retry_statuses
            ):
                raise
            raise UnusableAnswer(str(declined)) from declined
        except UnusableAnswer:
            pooled.answered(clock.time())
            raise
        except BackendUnavailable:
            has_failed = True
            raise
        finally:
            if is_trial:
                pooled.breaker.end_trial()
            if is_probe:
                pooled.outage.end_probe(clock.time(), failed=has_failed)
        expected = request.subprotocols[0] if request.subprotocols else None
        if request.reconnect and connection.subprotocol != expected:
            pooled.answered(clock.time())
            connection.close(
                session_ends.OTHER_SUBPROTOCOL.backend,
                "subprotocol differs from the session's",
                CloseCause.SESSION_MOVES,
            )
            chosen = connection.subprotocol
            raise UnusableAnswer(f"chose subprotocol {chosen!r} instead of {expected!r}")
        if pooled.removed:
            connection.close(
                session_ends.NOT_NEEDED.backend, "backend was removed", CloseCause.SESSION_MOVES
            )
            raise UnusableAnswer("was removed during the dial")
        pooled.connected(clock.time())
        settings.counters.dials_succeeded.value += 1
        settings.counters.dial_durations.observe(clock.time() - begun)
        return Dialled(pooled, connection, sink, pooled.losses)

    async def _connect(self, sink: SinkT) -> GuardedConnection:
        """Has the plugin connect; raises BackendDeclined or BackendUnavailable."""
        pooled = self.backend
        try:
            connection = await pooled.backend.connect(self._terms.request, sink)
            self._terms.accepted(pooled)
            pooled.come_up()
            return GuardedConnection(connection, pooled, sink)
        except (BackendDeclined, BackendUnavailable):
            raise
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            self._settings.logger.exception("backend %s: its plugin raised an error", pooled.id)
            reason = f"its plugin raised {type(error).__name__}"
            raise BackendUnavailable(reason) from error

    # Giving it up

    @property
    def _better_choice(self) -> str | None:
        """Why to stop for another usable backend that was not tried; None: no reason to."""
        just_lost = self.backend is self._terms.last  # it may be frozen
        reason = self.backend.fault or ("another backend became usable" if just_lost else None)
        return reason if reason and self._group.has_another(without=self._search.tried) else None

    def _reconsider(self) -> None:
        """Gives the dial up if there is a better choice, unless it is a trial that has begun."""
        if not self._is_trial and (reason := self._better_choice):
            self._give_up(reason)

    def _changed(self, backend: PooledBackend) -> None:
        if backend.usable:
            self._search.note_return(backend)
        self._reconsider()

    def _give_up(self, reason: str) -> None:
        bound = self._bound
        if self._given_up is None and bound is not None and not bound.expired():
            self._given_up = f"{reason} during the dial"
            bound.reschedule(asyncio.get_running_loop().time())


def _hold_against(pooled: PooledBackend, unavailable: BackendUnavailable) -> None:
    unreachable = isinstance(unavailable, BackendUnreachable)
    counts = unreachable or not (pooled.proved or isinstance(unavailable, UnusableAnswer))
    now = asyncio.get_running_loop().time()
    pooled.failed(now, unavailable.reason, counts=counts, unreachable=unreachable)
    if counts:
        pooled.absence.begin(now)
    if unavailable.retry_after > 0:
        pooled.go_down(now, unavailable.reason, unavailable.retry_after)
