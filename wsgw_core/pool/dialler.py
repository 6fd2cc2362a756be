"""Gives a session a connection: tries the backends one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..api import (
    BackendConnection,
    BackendDeclined,
    BackendUnavailable,
    DialRequest,
    OutOfResources,
    Sink,
)
from ..metrics.counters import GatewayCounters
from ..rare_warning import RareWarning
from .backend_group import BackendGroup
from .backend_pool import PooledBackend
from .dial_gates import DialGates

SinkT = TypeVar("SinkT", bound=Sink)

# Seconds: a backend that is back has answered by then, and one that is not costs little.
_TRIAL_PATIENCE = 0.5


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
        return self._group.has_another(backend)

    async def dial(
        self,
        request: DialRequest,
        make_sink: Callable[[], SinkT],
        *,
        timeout: float,  # noqa: ASYNC109 - of each attempt, not of the call
        deadline: float | None = None,
        last: PooledBackend | None = None,
    ) -> Dialled[SinkT]:
        """Try each backend that the group offers at most once, those included that come meanwhile.

        Args:
            request: what the session wants; when it is a reconnect, the backend must choose the
                one subprotocol that is offered, or none when none is.
            make_sink: called for each attempt.
            timeout: bound of each attempt in seconds.
            deadline: the loop's time at which even the last attempt must be over.
            last: the backend to try after all others.

        Raises:
            NoBackend: all failed.
            BackendDeclined: one declined; no other was tried.
        """
        reasons = []
        lacks = 0  # of our own
        now = asyncio.get_running_loop().time
        offered: set[PooledBackend] = set()
        patience = now() + _TRIAL_PATIENCE
        if deadline is not None:
            patience = min(patience, deadline)
        while pooled := await self._next(offered, last, patience):
            left = timeout if deadline is None else min(timeout, deadline - now())
            if left <= 0:
                break
            if not _is_offered(pooled, now()):
                continue  # since the others were tried
            pooled.dialling += 1
            try:
                return await self._in_turn(pooled, request, make_sink, left)
            except BackendDeclined:
                self._counters.dials_declined.value += 1
                raise
            except _NotDialled as why:
                reasons.append(f"{pooled.id}: {why}")
            except BackendUnavailable as unavailable:
                lacking = isinstance(unavailable, OutOfResources)
                lacks += lacking
                reasons.append(f"{pooled.id}: {unavailable.reason}")
                self._count_failure(pooled, unavailable.reason, now(), lacking=lacking)
            finally:
                pooled.dialling -= 1
            self._logger.info(
                "session %s: dial failed: %s",
                request.session_id,
                reasons[-1],
                extra={
                    "session": request.session_id,
                    "backend": pooled.id,
                    "reason": reasons[-1],
                },
            )
        raise NoBackend(
            "; ".join(reasons) or "no backend is enabled and untripped, or no time left",
            local=0 < lacks == len(reasons),
        )

    async def _next(
        self, offered: set[PooledBackend], last: PooledBackend | None, patience: float
    ) -> PooledBackend | None:
        """Return the best of those that were not offered, and note it; None: none is left."""
        now = asyncio.get_running_loop().time
        while left := self._group.candidates(now(), last=last, without=offered):
            if left[0] is last and await self._trial_is_over(offered, patience):
                continue
            offered.add(left[0])
            return left[0]
        return None

    async def _trial_is_over(self, offered: set[PooledBackend], until: float) -> bool:
        """Wait for a trial of a backend that may be back; False: there is none that ends in time.

        The backend that was just lost may be frozen, and dialling it in vain takes long.
        """
        for backend in self._group.on_trial(without=offered):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await backend.trial_over.wait()
                    return True
        return False

    async def _in_turn(
        self,
        pooled: PooledBackend,
        request: DialRequest,
        make_sink: Callable[[], SinkT],
        left: float,
    ) -> Dialled[SinkT]:
        """Dial one backend when it is this dial's turn."""
        now = asyncio.get_running_loop().time
        gate, until = self._gates.of(pooled), now() + left
        try:
            async with asyncio.timeout(left):
                await gate.enter()
        except TimeoutError:
            raise _NotDialled(f"other dials left no room for {left:g} s") from None
        try:
            if not _is_offered(pooled, now()):
                raise _NotDialled("has tripped or was taken out while others were dialling")
            return await self._attempt(pooled, request, make_sink(), until - now())
        finally:
            gate.leave()

    async def _attempt(
        self, pooled: PooledBackend, request: DialRequest, sink: SinkT, left: float
    ) -> Dialled[SinkT]:
        """Dial one backend; raises BackendDeclined or BackendUnavailable."""
        trial = pooled.breaker.begin()
        if trial:
            pooled.trial_over.clear()
        clock = asyncio.get_running_loop()
        begun = clock.time()
        try:
            async with asyncio.timeout(left):
                connection = await pooled.backend.connect(request, sink)
            chosen = connection.subprotocol  # here, since what is no connection is a fault too
        except BackendDeclined as declined:
            if not request.reconnect or declined.status not in self._retry_statuses:
                pooled.answered()
                raise
            raise BackendUnavailable(str(declined)) from declined
        except BackendUnavailable:
            raise
        except TimeoutError as error:
            raise BackendUnavailable(f"dial took longer than {left:g} s") from error
        except Exception as error:
            self._logger.exception("backend %s: fault in its plugin", pooled.id)
            reason = f"fault in its plugin: {type(error).__name__}"
            raise BackendUnavailable(reason) from error
        finally:
            if trial:
                pooled.breaker.end_trial()
                pooled.trial_over.set()
        expected = request.subprotocols[0] if request.subprotocols else None
        if request.reconnect and chosen != expected:
            connection.close(1002, "not the session's subprotocol")
            raise BackendUnavailable(f"chose subprotocol {chosen!r} instead of {expected!r}")
        if pooled.removed:
            connection.close(1001, "backend was removed")
            raise BackendUnavailable("was removed while it was dialled")
        pooled.connected()
        self._counters.dials_succeeded.value += 1
        self._counters.dial_durations.observe(clock.time() - begun)
        return Dialled(pooled, connection, sink)

    def _count_failure(
        self, pooled: PooledBackend, reason: str, now: float, *, lacking: bool
    ) -> None:
        if lacking:
            self._counters.local_dial_errors.value += 1
            self._warn("out of descriptors, ports or memory: %s: %s", pooled.id, reason)
        else:
            self._counters.dials_failed.value += 1
            pooled.failed(now, reason)


def _is_offered(pooled: PooledBackend, now: float) -> bool:
    return pooled.enabled and not pooled.removed and pooled.breaker.allows(now)
