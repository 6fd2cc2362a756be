"""A connection to a backend that the test plays."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from wsgw_core.api import Close, CloseCause, DialRequest, Headers, Message, MessageKind, Sink

from .watch import FAKE_TIMEOUT, Watch


def as_message(content: Message | str | bytes) -> Message:
    """Returns a TEXT message for a string and a BINARY one for bytes."""
    if isinstance(content, Message):
        return content
    if isinstance(content, str):
        return Message.from_text(content)
    return Message(MessageKind.BINARY, content)


class FakeConnection:
    """The BackendConnection of one accepted dial; the test plays the backend.

    Args:
        request: the request of the dial.
        sink: the session's sink.
        subprotocol, headers: the backend's answer.
        acknowledge: whether to report each message as delivered in the loop's next turn.
        answer_close: whether to answer the session's close in the loop's next turn.
        timeout: the timeout in seconds for waiting.

    Attributes:
        received: the messages sent before the end or the session's close.
        ignored: the messages sent after that.
        acknowledged: how many messages were reported as delivered.
        started, paused: whether the session has started, and has paused, the connection.
        close_request: the session's first close, or None.
        close_cause: the cause of that close.
        pings: the callbacks for the answers to the session's pings.
        ended: the reported end, or None.
        faults: the session's breaches of the contract, each also raised as AssertionError.
        is_in_a_message: a value for the session, which a test sets.
    """

    def __init__(
        self,
        request: DialRequest,
        sink: Sink,
        subprotocol: str | None = None,
        headers: Headers = (),
        *,
        acknowledge: bool = False,
        answer_close: bool = True,
        timeout: float = FAKE_TIMEOUT,
    ) -> None:
        self.request = request
        self.sink = sink
        self.is_in_a_message = False
        self.received: list[Message] = []
        self.ignored: list[Message] = []
        self.acknowledged = 0
        self.started = False
        self.paused = False
        self.close_request: Close | None = None
        self.close_cause: CloseCause | None = None
        self.ended: Close | None = None
        self.pings: list[Callable[[], object]] = []
        self.faults: list[str] = []
        self.acknowledge_at_once = acknowledge
        self.answer_close = answer_close
        self._subprotocol = subprotocol
        self._headers = headers
        self._waiting: deque[Message] = deque()
        self._end: Close | None = None
        self._watch = Watch(timeout)

    # What the session calls

    @property
    def subprotocol(self) -> str | None:
        """See BackendConnection."""
        return self._subprotocol

    @property
    def headers(self) -> Headers:
        """See BackendConnection."""
        return self._headers

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

    def ping(self, on_answer: Callable[[], object], /) -> None:
        """See PingableConnection; the test answers by calling an item of `pings`."""
        self.pings.append(on_answer)
        self._watch.changed()

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        """See BackendConnection; the test itself closes with `hang_up`."""
        if self.close_request is not None or self.ended is not None:
            return
        self.close_request = Close(code, reason)
        self.close_cause = cause
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
        """How many received messages are not acknowledged."""
        return len(self.received) - self.acknowledged

    def reply(self, content: Message | str | bytes) -> bool:
        """Sends a message from the backend; before `start` and while paused it waits.

        Returns:
            The result of `Sink.message`; True for a message that waits; False after the end.
        """
        if self.ended is not None:
            return False
        message = as_message(content)
        if not self.started or self.paused or self._waiting:
            self._waiting.append(message)
            return True
        return self.sink.message(message)

    def acknowledge(self, count: int | None = None) -> None:
        """Reports the next `count` messages as delivered; None: all received messages.

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
        """Breaks the connection with an abnormal end, so that the session goes on elsewhere."""
        self._finish(Close(1006, reason, abnormal=True))

    def hang_up(self, code: int = 1000, reason: str = "", *, abnormal: bool = False) -> None:
        """Closes the connection from the backend's side."""
        self.end(Close(code, reason, abnormal))

    def end(self, close: Close) -> None:
        """Ends the connection with any Close."""
        self._finish(close)

    def confirm_close(self) -> None:
        """Answers the session's close: acknowledges all messages, then reports the end."""
        if self.ended is None:
            assert self.close_request is not None, "the session has not closed"
            if self.started:
                self.acknowledge()
            self._finish(self.close_request)

    def set_writable(self, writable: bool) -> None:
        """Reports to the session whether the backend takes messages for now."""
        assert self.started, "the connection is not started"
        assert self.ended is None, "the connection is over"
        self.sink.writable(writable)

    async def until_received(self, count: int) -> list[Message]:
        """Waits for `count` messages in total; returns all messages."""
        await self._watch.until(
            lambda: len(self.received) >= count,
            lambda: f"{count} messages at the backend, which has {len(self.received)}",
        )
        return self.received

    async def until_started(self) -> None:
        """Waits for `start`."""
        await self._watch.until(lambda: self.started, lambda: "the connection's start")

    async def until_close_requested(self) -> Close:
        """Waits for the session's `close`."""
        await self._watch.until(
            lambda: self.close_request is not None, lambda: "the session to close the connection"
        )
        assert self.close_request is not None
        return self.close_request

    async def until_paused(self, paused: bool) -> None:
        """Waits for `pause` (True) or `resume` (False)."""
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
            self._end = close  # to be reported after start()
            return
        while self._waiting and self.started:
            self.sink.message(self._waiting.popleft())
        self.ended = close
        self.sink.closed(close)
        self._watch.changed()


class FakeNumberedConnection(FakeConnection):
    """A FakeConnection that gets each message with its number."""

    @property
    def numbers(self) -> list[int]:
        """The numbers of `received`; 0 for a hydration."""
        return self._numbers[: len(self.received)]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._numbers: list[int] = []

    def send(self, message: Message, /) -> None:
        """See BackendConnection; only for hydrations."""
        self.send_numbered(message, 0)

    def send_numbered(self, message: Message, number: int, /) -> None:
        """See NumberedConnection."""
        self._numbers.append(number)
        super().send(message)
