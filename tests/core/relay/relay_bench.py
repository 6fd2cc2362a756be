"""A session between a scripted client and scripted backends, as a gateway would connect them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Literal

from wsgw_core.api import (
    Close,
    DialRequest,
    Handshake,
    Headers,
    Message,
    MessageValve,
    Metrics,
    SessionListener,
)
from wsgw_core.api import Session as SessionInView
from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.pool.backends.backend_pool import BackendPool, PooledBackend
from wsgw_core.pool.dialling.dial_limiter import DialLimiters
from wsgw_core.pool.dialling.dialler import Dialler
from wsgw_core.pool.policy.backend_group import BackendGroup
from wsgw_core.relay.all_sessions.session_context import ConfiguredValve
from wsgw_core.relay.all_sessions.session_table import SessionTable
from wsgw_core.relay.session.session import Session
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import FakeBackend, FakeClient, as_message
from wsgw_core.testing.session_context import make_session_context
from wsgw_core.testing.virtual_clock import idle

MakeValve = Callable[[SessionInView], MessageValve]


class Scripted:
    """A valve that `for_session` makes for each session."""

    def __init__(self, for_session: MakeValve) -> None:
        self.for_session = for_session


def valve(
    make: MakeValve, on_error: Literal["close", "discard"] = "close", kind: str = "scripted"
) -> ConfiguredValve:
    """Configure a valve that `make` makes for each session."""
    return ConfiguredValve(kind, Scripted(make), on_error)


def replayed(request: DialRequest) -> int:
    """Return how many replayed messages a dial request announces."""
    return int(dict(request.headers).get("X-Wsgw-Replayed", "0"))


class PassingValve:
    """Passes everything on; for valves with something to do in one direction only."""

    def __init__(self, view: SessionInView) -> None:
        self.view = view

    def before_transmit(self, message: Message) -> Message | None:
        return message

    def after_receive(self, message: Message) -> Message | None:
        return message


class RelayBench:
    """One session and its ends.

    Args:
        backends: in the order of configuration; two that must be told to acknowledge by default.
        failover, limits, drain, valves, listeners: as a gateway would have them configured.
        headers, subprotocols: the client's.
        breaker_threshold: of each backend; none has a breaker unless a test asks for it.

    Attributes:
        client: the session's client.
        blue, green: the first backend and the second.
        session: once `open` was called.
        counters, table, pool: the gateway's.
    """

    session: Session

    def __init__(  # noqa: PLR0913 - what a gateway has sections for
        self,
        *backends: FakeBackend,
        failover: FailoverOptions | None = None,
        limits: LimitOptions | None = None,
        drain: DrainOptions | None = None,
        valves: Sequence[ConfiguredValve] = (),
        listeners: Sequence[SessionListener] = (),
        headers: Headers = (),
        subprotocols: tuple[str, ...] = (),
        breaker_threshold: int = -1,
    ) -> None:
        self.backends = backends or (FakeBackend("blue"), FakeBackend("green"))
        self.client = FakeClient()
        self.counters = GatewayCounters(Metrics())
        self.table = SessionTable()
        self.pooled = [
            PooledBackend(backend.backend_id, backend, breaker_threshold)
            for backend in self.backends
        ]
        self.pool = BackendPool(self.pooled)
        self.failover = failover or FailoverOptions()
        self.limits = limits or LimitOptions()
        self.dial_limiters = DialLimiters(*self.failover.dial_bounds)
        self.context = make_session_context(
            self.pooled,
            failover=self.failover,
            limits=self.limits,
            drain=drain or DrainOptions(),
            dialler=Dialler(
                BackendGroup(self.pool),
                self.dial_limiters,
                self.failover.retry_statuses,
                self.counters,
                logging.getLogger("wsgw.test"),
            ),
            valves=tuple(valves),
            listeners=tuple(listeners),
            table=self.table,
            counters=self.counters,
        )
        self.handshake = Handshake("/chat?room=1", headers, subprotocols, "192.0.2.1:5555")
        self._deliver: Callable[[Message], None]

    @property
    def blue(self) -> FakeBackend:
        return self.backends[0]

    @property
    def green(self) -> FakeBackend:
        return self.backends[1]

    async def open(self) -> RelayBench:
        """Open the session at the first backend and start it."""
        await self.dial()
        self.session.start(self.client)
        self._deliver = self.session.client_message  # once and for all, as the client's socket does
        await idle()
        return self

    async def dial(self) -> Session:
        """Give the session its first backend; the client is not answered yet."""
        self.session = Session("session-1", self.handshake, self.context)
        await self.session.open()
        return self.session

    def say(self, *contents: Message | str | bytes) -> None:
        """Have the client send messages."""
        for content in contents:
            self._deliver(as_message(content))

    def leave(self, code: int = 1000, reason: str = "", *, violation: bool = False) -> None:
        """Have the client close, or be lost (1006), or be closed for a violation."""
        self._deliver = lambda _: None  # as the client's socket does
        self.session.client_closed(Close(code, reason), violation=violation)

    def drop(self, backend: FakeBackend | None = None) -> None:
        """Break the newest connection of a backend, the first one unless told otherwise."""
        (backend or self.blue).connections[-1].drop()

    def is_reading(self) -> bool:
        """Return whether the client is read; as a method, which the type checker does not cache."""
        return self.client.reading

    @property
    def ended(self) -> bool:
        return self.session.state is State.ENDED

    async def until_ended(self) -> None:
        """Let time pass until the session has ended."""
        async with asyncio.timeout(3600):
            while not self.ended:  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.01)


class RecordingListener:
    """Records the events of a session."""

    def __init__(self, name: str = "listener", log: list[str] | None = None) -> None:
        self.log: list[str] = [] if log is None else log
        self._name = name

    def session_created(self, session: SessionInView) -> None:
        self.log.append(f"{self._name}: created at {session.backend_id}")

    def session_failed_over(self, session: SessionInView, old: str | None, new: str) -> None:
        self.log.append(f"{self._name}: moved from {old} to {new}")

    def session_terminated(self, session: SessionInView, close: Close) -> None:
        self.log.append(f"{self._name}: terminated {close.code} {close.reason}".rstrip())
