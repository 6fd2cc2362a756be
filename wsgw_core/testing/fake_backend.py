"""A backend that answers dials by a script."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from wsgw_core.api import (
    BackendDeclined,
    BackendUnavailable,
    BackendUnreachable,
    Close,
    CloseCause,
    DialRequest,
    Headers,
    Sink,
)

from .fake_connection import FakeConnection, FakeNumberedConnection
from .watch import FAKE_TIMEOUT, Watch


@dataclass(frozen=True, slots=True)
class Accept:
    """The dial succeeds, after `after` seconds."""

    subprotocol: str | None = None
    headers: Headers = ()
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Decline:
    """The dial raises BackendDeclined, after `after` seconds."""

    status: int = 403
    headers: Headers = ()
    body: bytes = b""
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The dial raises BackendUnavailable or a subclass, after `after` seconds."""

    reason: str = "scripted"
    after: float = 0.0
    error: type[BackendUnavailable] = BackendUnavailable
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Hang:
    """The dial takes for ever, until it is cancelled."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The dial raises an exception that the contract does not allow."""

    error: Exception


Answer = Accept | Decline | Unavailable | Hang | Fault


class FakeBackend:
    """A Backend that answers dials by a script.

    Args:
        backend_id: the backend's id, for error texts.
        acknowledge: whether its connections report each message as delivered at once.
        answer_close: whether its connections answer a close at once.
        numbered: whether its connections are FakeNumberedConnections.
        timeout: the timeout in seconds for waiting.

    Attributes:
        otherwise: the answer to dials beyond the script; see `will`.
        requests: the requests of all dials, in order.
        connections: the accepted connections, in order.
        cancelled: how many dials were cancelled.
        session_ends: the reported ends of sessions, in order: id, close and cause.
        probes, opened, closed: how often `probe`, `open` and `close` were called.
        healthy: whether `probe` succeeds.
    """

    def __init__(
        self,
        backend_id: str = "fake",
        *,
        acknowledge: bool = False,
        answer_close: bool = True,
        numbered: bool = False,
        timeout: float = FAKE_TIMEOUT,
    ) -> None:
        self.backend_id = backend_id
        self.otherwise: Answer = Accept()
        self.requests: list[DialRequest] = []
        self.connections: list[FakeConnection] = []
        self.session_ends: list[tuple[str, Close, CloseCause]] = []
        self.cancelled = 0
        self.probes = 0
        self.opened = 0
        self.closed = 0
        self.healthy = True
        self._acknowledge = acknowledge
        self._answer_close = answer_close
        self._kind = FakeNumberedConnection if numbered else FakeConnection
        self._timeout = timeout
        self._script: deque[Answer] = deque()
        self._watch = Watch(timeout)

    # What the core calls

    async def open(self) -> None:
        """See Backend."""
        self.opened += 1

    async def connect(self, request: DialRequest, sink: Sink) -> FakeConnection:
        """See Backend."""
        self.requests.append(request)
        self._watch.changed()
        answer = self._script.popleft() if self._script else self.otherwise
        try:
            await self._delay(answer)
        except asyncio.CancelledError:
            self.cancelled += 1
            self._watch.changed()
            raise
        match answer:
            case Decline():
                raise BackendDeclined(answer.status, answer.headers, answer.body)
            case Unavailable():
                raise answer.error(answer.reason, retry_after=answer.retry_after)
            case Fault():
                raise answer.error
            case Accept():
                connection = self._kind(
                    request,
                    sink,
                    answer.subprotocol,
                    answer.headers,
                    acknowledge=self._acknowledge,
                    answer_close=self._answer_close,
                    timeout=self._timeout,
                )
                self.connections.append(connection)
                self._watch.changed()
                return connection
        raise AssertionError(f"not an answer: {answer!r}")

    def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
        """See SessionTrackingBackend."""
        self.session_ends.append((session_id, close, cause))
        self._watch.changed()

    async def probe(self) -> None:
        """See Backend."""
        self.probes += 1
        self._watch.changed()
        if not self.healthy:
            raise BackendUnavailable("scripted")

    async def close(self) -> None:
        """See Backend."""
        self.closed += 1

    # What the test calls

    def will(self, *answers: Answer) -> None:
        """Sets the answers to the next dials, in order; later dials get `otherwise`."""
        self._script.extend(answers)

    def go_down(self, reason: str = "connection lost") -> None:
        """Breaks every connection, and refuses dials until `come_up`."""
        self.otherwise = Unavailable(reason, error=BackendUnreachable)
        self.healthy = False
        for connection in self.connections:
            connection.drop(reason)

    def come_up(self) -> None:
        """Accepts dials again."""
        self.otherwise = Accept()
        self.healthy = True

    async def connection(self, number: int = 0) -> FakeConnection:
        """Waits for accepted connection `number`, counted from 0, to be started; returns it."""
        await self._watch.until(
            lambda: len(self.connections) > number,
            lambda: f"connection {number} of {self.backend_id}; it has {len(self.connections)}",
        )
        await self.connections[number].until_started()
        return self.connections[number]

    async def until_dialled(self, count: int) -> DialRequest:
        """Waits for `count` dials in total, whatever their answers; returns the last request."""
        await self._watch.until(
            lambda: len(self.requests) >= count,
            lambda: f"{count} dials of {self.backend_id}, which had {len(self.requests)}",
        )
        return self.requests[count - 1]

    @staticmethod
    async def _delay(answer: Answer) -> None:
        if isinstance(answer, Hang):
            await asyncio.get_running_loop().create_future()
        elif not isinstance(answer, Fault) and answer.after:
            await asyncio.sleep(answer.after)
