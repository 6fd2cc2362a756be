"""One dial of one backend: the wait for its turn, the attempt, and what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ...api import (
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
from ...api.rare_warning import RareWarning
from ...metrics.counters import GatewayCounters
from ...tracebacks import drop_tracebacks
from ...websocket import session_ends
from ..backends.backend_pool import PooledBackend
from ..backends.turn import Turn
from ..policy.backend_group import BackendGroup
from .dial_limiter import DialLimiters, NotDialled

# A proxy before the backend wants to know us: nothing that a client could answer.
_OF_A_PROXY = 407

SinkT = TypeVar("SinkT", bound=Sink)


@dataclass(frozen=True, slots=True)
class DialSettings:
    """What all dials of a dialler share.

    Attributes:
        limiters: shared by all that dial these backends.
        retry_statuses: declining answers that count as unavailable during a failover.
        counters: of the gateway.
        logger: for failed dials.
        warn: the same, for what happens often.
        scouts_apart: see Lookout.apart.
    """

    limiters: DialLimiters
    retry_statuses: frozenset[int]
    counters: GatewayCounters
    logger: logging.Logger
    warn: RareWarning
    scouts_apart: float


@dataclass(frozen=True, slots=True)
class Wish(Generic[SinkT]):
    """What a session wants of each backend that is dialled for it; see Dialler.dial."""

    request: DialRequest
    make_sink: Callable[[], SinkT]
    accepted: Callable[[PooledBackend], object]
    can_wait: bool
    hedge_after: float


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

    def discard(self) -> None:
        """Closes the connection, which was never started."""
        self.connection.close(
            session_ends.NOT_NEEDED.backend, "is not needed any more", CloseCause.SESSION_MOVES
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a dial has failed, and whether for want of something of our own."""

    reason: str
    local: bool = False


class Dial(Generic[SinkT]):
    """One dial of one backend.

    It is given up when its backend is usable no more, or is the one that the client has just lost,
    while the group has another that is usable and was not tried. A trial is not: nobody else finds
    out whether the backend is back. Any dial is given up when another one was faster.

    Args:
        wish: of the session.
        settings: of the dialler.
        turn: of the backend that is dialled.
        group: of the backend.
        tried: the backends that are not tried again for this client, `backend` included.
        note_return: called with a backend that becomes usable meanwhile; takes it out of `tried`
            if it is to be tried again.
        seconds: how long the dial may take.
        just_lost: whether the client has just lost this backend, which may be frozen.
        is_hedge: whether it was begun beside another dial of the same client.
        is_cut: whether it has less time than a dial may take, since the client's is almost over.

    Attributes:
        backend: is dialled.
        failure: why it has failed; None: it has not, yet.
    """

    __slots__ = (
        "_begun",
        "_bound",
        "_given_up",
        "_group",
        "_is_cut",
        "_is_failure",
        "_is_hedge",
        "_is_trial",
        "_just_lost",
        "_note_return",
        "_seconds",
        "_settings",
        "_tried",
        "_turn",
        "_was_tried",
        "_wish",
        "backend",
        "failure",
    )

    def __init__(  # noqa: PLR0913 - what one dial must know
        self,
        wish: Wish[SinkT],
        settings: DialSettings,
        turn: Turn,
        group: BackendGroup,
        tried: Collection[PooledBackend],
        note_return: Callable[[PooledBackend], object],
        seconds: float,
        *,
        just_lost: bool,
        is_hedge: bool,
        is_cut: bool,
    ) -> None:
        self._wish = wish
        self._settings = settings
        self.backend = turn.backend
        self._turn = turn
        self._group = group
        self._tried = tried
        self._note_return = note_return
        self._just_lost = just_lost
        self._bound: asyncio.Timeout | None = asyncio.timeout(seconds)
        self._seconds = seconds
        self._is_hedge = is_hedge
        self._is_cut = is_cut
        self._is_trial = False  # decides if others may follow
        self._given_up: str | None = None  # why
        self._is_failure = False  # of the backend, that it was given up
        self._was_tried = False  # the backend was asked, or waited for in vain
        self._begun = asyncio.get_running_loop().time()
        self.failure: Failure | None = None
        self.backend.dialling += 1

    async def run(self) -> Dialled[SinkT] | None:
        """Makes the dial; None: it has failed.

        Raises:
            BackendDeclined: the backend does not want this client.
        """
        counters, name = self._settings.counters, self.backend.id
        counters.dials_hedged.value += self._is_hedge
        try:
            return await self._in_turn()
        except BackendDeclined:
            counters.dials_declined.value += 1
            raise
        except NotDialled as why:
            self.failure = Failure(f"{name}: {why}")
            drop_tracebacks(why)
        except OutOfResources as lack:
            self.failure = Failure(f"{name}: {lack.reason}", local=True)
            counters.local_dial_errors.value += 1
            self._settings.warn("the gateway itself could not dial: %s", self.failure.reason)
            drop_tracebacks(lack)
        except BackendUnavailable as unavailable:
            self.failure = Failure(f"{name}: {unavailable.reason}")
            counters.dials_failed.value += 1
            _hold_against(self.backend, unavailable)
            drop_tracebacks(unavailable)
        session_id, reason = self._wish.request.session_id, self.failure.reason
        self._settings.logger.info(
            "session %s: dial failed: %s",
            session_id,
            reason,
            extra={"session": session_id, "backend": name, "reason": reason},
        )
        return None

    @property
    def silent_since(self) -> float:
        """The loop's time since which the backend has answered no dial, this one or another."""
        return max(self._begun, self.backend.answered_at)

    def was_silent(self, seconds: float) -> bool:
        """Returns whether the backend has answered no dial for so many seconds; 0: it never is."""
        now = asyncio.get_running_loop().time()
        return seconds > 0 and now >= self.silent_since + seconds

    def outrun(self, *, was_silent: bool) -> None:
        """Gives the dial up, since another one was faster.

        Args:
            was_silent: whether its backend had time enough.
        """
        self._is_failure = was_silent
        self._was_tried = True  # else all would wait for one that lets nobody in
        self._give_up("another backend answered")

    def ended(self, task: asyncio.Task[Any]) -> None:
        """Counts it no more; unless it was tried, the backend keeps its turn."""
        self.backend.dialling -= 1
        if not (self._was_tried or task.cancelled()):
            self._turn.give_back()

    # Its steps

    async def _in_turn(self) -> Dialled[SinkT]:
        """Dials when it is this dial's turn, until it is given up or takes too long."""
        bound, limiter = self._bound, self._settings.limiters.of(self.backend)
        assert bound is not None, "runs twice"  # noqa: S101 - the caller's fault
        has_turn = answered = False
        try:
            async with bound:
                self._group.watch(self._changed)
                try:
                    if limiter.is_full:  # a trial that cannot begin now is not worth the wait
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
            del bound  # it holds the task, and the error of a cancelled task this frame

    async def _when_probed(self) -> Dialled[SinkT]:
        """Waits for a probe that is under way, then dials."""
        backend, counters = self.backend, self._settings.counters
        while backend.outage.is_probed:
            self._reconsider()
            await backend.outage.until_probed()
        self._check()
        with backend.absence.dial(as_scout=self._wish.can_wait) as is_scout:
            counters.dials_scouting.value += is_scout
            return await self._attempt()

    def _cut_short(self, *, has_turn: bool) -> NotDialled | BackendUnavailable:
        """Returns what became of a dial that was given up or took too long.

        Args:
            has_turn: whether the backend was asked.
        """
        if self._given_up:
            if self._is_failure and has_turn:
                return BackendUnreachable(self._given_up)
            self._settings.counters.dials_given_up.value += 1
            return NotDialled(self._given_up)
        if not has_turn:
            self._was_tried = True
            return NotDialled(f"other dials left no room for {self._seconds:g} s")
        reason = f"dial took longer than {self._seconds:g} s"
        if self._is_cut and not self.was_silent(self._wish.hedge_after):
            return NotDialled(f"{reason}, which were left")
        # where others were answered, it is this request that takes so long
        others_were_answered = self.backend.answered_at > self._begun
        return UnusableAnswer(reason) if others_were_answered else BackendUnreachable(reason)

    def _check(self, *, is_first_look: bool = False) -> None:
        """Raises NotDialled if the dial is not to be made after all.

        Args:
            is_first_look: whether it has not waited for its turn yet.
        """
        backend, now = self.backend, asyncio.get_running_loop().time()
        can_wait = self._wish.can_wait
        if not backend.enabled or backend.removed:
            raise NotDialled("was taken out while others were dialling")
        if not backend.outage.allows(now):
            raise NotDialled(f"is down: {backend.outage.reason}")
        if can_wait and not backend.absence.allows(now, self._settings.scouts_apart):
            raise NotDialled("is away, and another session looks for it")
        if backend.breaker.allows(now):
            return
        if self._better_choice:
            raise NotDialled("has tripped while others were dialling")
        waits = is_first_look and can_wait and not backend.absence.is_away
        if waits and not backend.breaker.allows_retry(now):
            raise NotDialled("has tripped")

    async def _attempt(self) -> Dialled[SinkT]:
        """Dials one backend; raises BackendDeclined or BackendUnavailable."""
        pooled, request, sink = self.backend, self._wish.request, self._wish.make_sink()
        settings = self._settings
        is_trial, is_probe = pooled.breaker.begin(), pooled.outage.begin_dial()
        self._is_trial = is_trial or is_probe
        self._was_tried = True
        has_failed = False
        clock = asyncio.get_running_loop()
        begun = clock.time()
        try:
            connection = await pooled.backend.connect(request, sink)
            self._wish.accepted(pooled)
            pooled.come_up()
            chosen = connection.subprotocol  # here, since what is no connection is a fault too
        except BackendDeclined as declined:
            pooled.answered(clock.time())
            unusable = declined.status == _OF_A_PROXY
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
        except Exception as error:
            has_failed = True
            settings.logger.exception("backend %s: fault in its plugin", pooled.id)
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
            connection.close(
                session_ends.OTHER_SUBPROTOCOL.backend,
                "not the session's subprotocol",
                CloseCause.SESSION_MOVES,
            )
            raise UnusableAnswer(f"chose subprotocol {chosen!r} instead of {expected!r}")
        if pooled.removed:
            connection.close(
                session_ends.NOT_NEEDED.backend, "backend was removed", CloseCause.SESSION_MOVES
            )
            raise UnusableAnswer("was removed while it was dialled")
        pooled.connected(clock.time())
        settings.counters.dials_succeeded.value += 1
        settings.counters.dial_durations.observe(clock.time() - begun)
        return Dialled(pooled, connection, sink, pooled.losses)

    # Giving it up

    @property
    def _better_choice(self) -> str | None:
        """Why another backend, which is usable and was not tried, is the better choice, if so."""
        reason = self.backend.fault or ("another was usable again" if self._just_lost else None)
        return reason if reason and self._group.has_another(without=self._tried) else None

    def _reconsider(self) -> None:
        """Gives the dial up if there is a better choice; not a trial that has begun."""
        if not self._is_trial and (reason := self._better_choice):
            self._give_up(reason)

    def _changed(self, backend: PooledBackend) -> None:
        if backend.usable:
            self._note_return(backend)
        self._reconsider()

    def _give_up(self, reason: str) -> None:
        bound = self._bound
        if self._given_up is None and bound is not None and not bound.expired():
            self._given_up = f"{reason} while it was dialled"
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
