"""Scripted ends for tests of what lies between them: a client, and backends in memory.

A test reads like a transcript: the client says A, the backend gets A, the backend drops, the next
backend gets A again.

FakeClient      the methods that a session calls at its client; records them
FakeBackend     answers dials by a script; has the connections that it accepted
FakeConnection  records what a session does; the test acts as the backend's application
Accept, Decline, Unavailable, Hang, Fault   what a dial is answered

Waiting fails after an hour by default, since these are meant for a VirtualClockLoop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from wsgw_core.api import (
    BackendDeclined,
    BackendUnavailable,
    Close,
    DialRequest,
    Headers,
    Message,
    MessageKind,
    Sink,
)

from .watch import Watch

PATIENCE = 3600.0


@dataclass(frozen=True, slots=True)
class Accept:
    """The dial succeeds, `after` so many seconds."""

    subprotocol: str | None = None
    headers: Headers = ()
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Decline:
    """The dial raises BackendDeclined, `after` so many seconds."""

    status: int = 403
    headers: Headers = ()
    body: bytes = b""
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The dial raises BackendUnavailable, `after` so many seconds."""

    reason: str = "scripted"
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Hang:
    """The dial takes for ever; somebody must cancel it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The dial raises an exception that the contract does not allow: the plugin has a fault."""

    error: Exception


Answer = Accept | Decline | Unavailable | Hang | Fault


def as_message(content: Message | str | bytes) -> Message:
    """Make a TEXT message of a string and a BINARY one of bytes."""
    if isinstance(content, Message):
        return content
    if isinstance(content, str):
        return Message.from_text(content)
    return Message(MessageKind.BINARY, content)


class FakeClient:
    """A session's client end: `send`, `close`, `pause_reading`, `resume_reading`.

    Attributes:
        received: the messages sent to the client before it was closed.
        received_late: those sent after that; a real client would not see them.
        closes: every close, in order; a correct session closes once.
        reading: False while the session does not want to hear from the client.
        pauses: how often reading was paused.
    """

    def __init__(self, *, patience: float = PATIENCE) -> None:
        self.received: list[Message] = []
        self.received_late: list[Message] = []
        self.closes: list[Close] = []
        self.reading = True
        self.pauses = 0
        self._watch = Watch(patience)

    # What the session calls

    def send(self, message: Message) -> None:
        """Record one message."""
        (self.received_late if self.closes else self.received).append(message)
        self._watch.changed()

    def close(self, code: int, reason: str = "") -> None:
        """Record a close."""
        self.closes.append(Close(code, reason))
        self._watch.changed()

    def pause_reading(self) -> None:
        """Record that the session wants no more messages for now."""
        self.pauses += self.reading
        self.reading = False
        self._watch.changed()

    def resume_reading(self) -> None:
        """Record that the session wants messages again."""
        self.reading = True
        self._watch.changed()

    # What the test calls

    @property
    def texts(self) -> list[str]:
        """The received messages as strings."""
        return [message.text for message in self.received]

    @property
    def closed(self) -> Close | None:
        """How the client was closed, if it was.

        Raises:
            AssertionError: it was closed more than once.
        """
        assert len(self.closes) <= 1, f"the client was closed more than once: {self.closes}"
        return self.closes[0] if self.closes else None

    async def until_received(self, count: int) -> list[Message]:
        """Wait for that many messages in total and return them all."""
        await self._watch.until(
            lambda: len(self.received) >= count,
            lambda: f"{count} messages at the client, which has {len(self.received)}",
        )
        return self.received

    async def until_closed(self) -> Close:
        """Wait for the close."""
        await self._watch.until(lambda: bool(self.closes), lambda: "the client's close")
        return self.closes[0]

    async def until_reading(self, reading: bool) -> None:
        """Wait until reading goes on (True) or is paused (False)."""
        await self._watch.until(
            lambda: self.reading == reading, lambda: f"the client's reading={reading}"
        )


class FakeConnection:
    """One accepted dial. Implements BackendConnection; the test plays the backend.

    Args:
        request: the dial.
        sink: the session.
        answer: the script's answer.
        acknowledge: report each message as delivered in the loop's next turn.
        answer_close: answer the session's close in the next turn, as a sound backend would.

    Attributes:
        received: the messages sent, until the end or the session's close.
        ignored: the messages sent after that.
        acknowledged: how many were reported as delivered.
        started, paused: what the session wants.
        close_request: the session's close, once it came; its first, if it closes again.
        ended: what was reported as the end.
        faults: what the session did against the contract, each also raised as AssertionError.
    """

    def __init__(
        self,
        request: DialRequest,
        sink: Sink,
        answer: Accept,
        *,
        acknowledge: bool = False,
        answer_close: bool = True,
        patience: float = PATIENCE,
    ) -> None:
        self.request = request
        self.sink = sink
        self.received: list[Message] = []
        self.ignored: list[Message] = []
        self.acknowledged = 0
        self.started = False
        self.paused = False
        self.close_request: Close | None = None
        self.ended: Close | None = None
        self.faults: list[str] = []
        self.acknowledge_at_once = acknowledge
        self.answer_close = answer_close
        self._answer = answer
        self._waiting: deque[Message] = deque()
        self._end: Close | None = None
        self._watch = Watch(patience)

    # What the session calls

    @property
    def subprotocol(self) -> str | None:
        """See BackendConnection."""
        return self._answer.subprotocol

    @property
    def headers(self) -> Headers:
        """See BackendConnection."""
        return self._answer.headers

    def start(self) -> None:
        """See BackendConnection."""
        if self.started:
            self._fault("start() was called twice")
        self.started = True
        self._soon(self._pass_on)
        self._watch.changed()

    def send(self, message: Message, /) -> None:
        """See BackendConnection."""
        if self.ended is not None or self.close_request is not None:
            self.ignored.append(message)
        else:
            self.received.append(message)
            if self.acknowledge_at_once:
                self._soon(self._acknowledge_one)
        self._watch.changed()

    def pause(self) -> None:
        """See BackendConnection."""
        self.paused = True
        self._watch.changed()

    def resume(self) -> None:
        """See BackendConnection."""
        self.paused = False
        self._soon(self._pass_on)
        self._watch.changed()

    def close(self, code: int, reason: str = "") -> None:
        """See BackendConnection; the test's own way to close is `hang_up`."""
        if self.close_request is not None or self.ended is not None:
            return
        self.close_request = Close(code, reason)
        if self.answer_close:
            self._soon(self.confirm_close)
        self._watch.changed()

    # What the test calls, as the backend

    @property
    def texts(self) -> list[str]:
        """The received messages as strings."""
        return [message.text for message in self.received]

    @property
    def outstanding(self) -> int:
        """How many of the received messages were not yet acknowledged."""
        return len(self.received) - self.acknowledged

    def reply(self, content: Message | str | bytes) -> bool:
        """Have the backend send a message; before `start` and while paused it waits.

        Returns:
            What the session answered; True for a message that waits; False after the end.
        """
        if self.ended is not None:
            return False
        message = as_message(content)
        if not self.started or self.paused or self._waiting:
            self._waiting.append(message)
            return True
        return self.sink.message(message)

    def acknowledge(self, count: int | None = None) -> None:
        """Report the next `count` messages as delivered; None: all that were received.

        Raises:
            AssertionError: fewer messages are outstanding, or the connection is over.
        """
        count = self.outstanding if count is None else count
        assert count <= self.outstanding, f"only {self.outstanding} messages are outstanding"
        assert self.ended is None, "the connection is over"
        if count:
            self.acknowledged += count
            self.sink.delivered(count)

    def drop(self, reason: str = "connection lost") -> None:
        """Break the connection: an abnormal end, after which the session goes on elsewhere."""
        self._finish(Close(1006, reason, abnormal=True))

    def hang_up(self, code: int = 1000, reason: str = "", *, abnormal: bool = False) -> None:
        """Have the backend close the connection."""
        self._finish(Close(code, reason, abnormal))

    def confirm_close(self) -> None:
        """Answer the session's close: everything before it arrived, then the end."""
        if self.ended is None:
            assert self.close_request is not None, "the session has not closed"
            if self.started:
                self.acknowledge()
            self._finish(self.close_request)

    def set_writable(self, writable: bool) -> None:
        """Tell the session whether the backend takes more for now."""
        assert self.started, "the connection is not started"
        assert self.ended is None, "the connection is over"
        self.sink.writable(writable)

    async def until_received(self, count: int) -> list[Message]:
        """Wait for that many messages in total and return them all."""
        await self._watch.until(
            lambda: len(self.received) >= count,
            lambda: f"{count} messages at the backend, which has {len(self.received)}",
        )
        return self.received

    async def until_started(self) -> None:
        """Wait for `start`."""
        await self._watch.until(lambda: self.started, lambda: "the connection's start")

    async def until_close_requested(self) -> Close:
        """Wait for the session's `close`."""
        await self._watch.until(
            lambda: self.close_request is not None, lambda: "the session to close the connection"
        )
        assert self.close_request is not None
        return self.close_request

    async def until_paused(self, paused: bool) -> None:
        """Wait for `pause` (True) or `resume` (False)."""
        await self._watch.until(
            lambda: self.paused == paused, lambda: f"the connection's paused={paused}"
        )

    # Inside

    def _fault(self, text: str) -> None:
        self.faults.append(text)
        raise AssertionError(text)

    def _soon(self, action: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(action)

    def _acknowledge_one(self) -> None:
        if self.started and self.ended is None and self.outstanding:
            self.acknowledge(1)

    def _pass_on(self) -> None:
        if self.acknowledge_at_once and self.ended is None:
            self.acknowledge()  # what was sent before start()
        while self._waiting and self.started and not self.paused and self.ended is None:
            self.sink.message(self._waiting.popleft())
        if self._end is not None:
            self._finish(self._end)

    def _finish(self, close: Close) -> None:
        if self.ended is not None:
            return
        if not self.started and self.close_request is None:
            self._end = close  # the session must not hear of it before it calls start()
            return
        while self._waiting and self.started:
            self.sink.message(self._waiting.popleft())
        self.ended = close
        self.sink.closed(close)
        self._watch.changed()


class FakeBackend:
    """A Backend that answers dials as the test wants.

    Args:
        backend_id: only for messages.
        acknowledge: its connections report each message as delivered at once.
        answer_close: its connections answer a close at once.

    Attributes:
        otherwise: the answer to dials for which `will` prepared nothing.
        requests: every dial, in order.
        connections: those that were accepted, in order.
        cancelled: how many dials were cancelled.
        probes, opened, closed: how often these were called.
        healthy: whether `probe` succeeds.
    """

    def __init__(
        self,
        backend_id: str = "fake",
        *,
        acknowledge: bool = False,
        answer_close: bool = True,
        patience: float = PATIENCE,
    ) -> None:
        self.backend_id = backend_id
        self.otherwise: Answer = Accept()
        self.requests: list[DialRequest] = []
        self.connections: list[FakeConnection] = []
        self.cancelled = 0
        self.probes = 0
        self.opened = 0
        self.closed = 0
        self.healthy = True
        self._acknowledge = acknowledge
        self._answer_close = answer_close
        self._patience = patience
        self._script: deque[Answer] = deque()
        self._watch = Watch(patience)

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
                raise BackendUnavailable(answer.reason)
            case Fault():
                raise answer.error
            case Accept():
                connection = FakeConnection(
                    request,
                    sink,
                    answer,
                    acknowledge=self._acknowledge,
                    answer_close=self._answer_close,
                    patience=self._patience,
                )
                self.connections.append(connection)
                self._watch.changed()
                return connection
        raise AssertionError(f"not an answer: {answer!r}")

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
        """Answer the next dials so, one after the other; later ones get `otherwise`."""
        self._script.extend(answers)

    def go_down(self, reason: str = "connection lost") -> None:
        """Die: every connection breaks and dials find nobody until `come_up`."""
        self.otherwise = Unavailable(reason)
        self.healthy = False
        for connection in self.connections:
            connection.drop(reason)

    def come_up(self) -> None:
        """Accept dials again."""
        self.otherwise = Accept()
        self.healthy = True

    async def connection(self, number: int = 0) -> FakeConnection:
        """Wait until that many dials and one were accepted and the last of them is started."""
        await self._watch.until(
            lambda: len(self.connections) > number,
            lambda: f"connection {number} of {self.backend_id}; it has {len(self.connections)}",
        )
        await self.connections[number].until_started()
        return self.connections[number]

    async def until_dialled(self, count: int) -> DialRequest:
        """Wait for that many dials in total, whatever their answer; return the last of these."""
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
