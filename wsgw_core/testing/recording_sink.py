"""The session's side of a connection, which records all calls and checks the contract."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wsgw_core.api import (
    TEXT,
    BackendConnection,
    Close,
    CloseCause,
    Headers,
    Message,
    NumberedConnection,
)

from .watch import Watch

__all__ = ["RecordingSink", "WatchedConnection"]

TIMEOUT = 20.0


class RecordingSink:
    """A Sink that records every call and every breach of the contract.

    It does not raise a breach in the plugin's call, because the plugin might swallow it; `check`
    and all methods that wait raise it. Pass the connection to `watch` and use the result, so that
    the sink knows what was started, sent and closed:

        sink = RecordingSink()
        connection = sink.watch(await backend.connect(request, sink))

    Args:
        timeout: the timeout in seconds for waiting.
        max_message_size: the limit of the backend; a longer message is a breach.

    Attributes:
        messages: the messages from the backend.
        delivered_count: how many messages were reported as delivered.
        writability: all reports of `writable`, in order.
        end: how the connection ended; None while it lasts.
        faults: the breaches, one line each.
        client_is_there: the result of `message`.
        on_message: called for each message, inside `message`.
        on_closed: called at the end.
    """

    def __init__(self, *, timeout: float = TIMEOUT, max_message_size: int | None = None) -> None:
        self.messages: list[Message] = []
        self.delivered_count = 0
        self.writability: list[bool] = []
        self.end: Close | None = None
        self.faults: list[str] = []
        self.client_is_there = True
        self.on_message: Callable[[Message], None] | None = None
        self.on_closed: Callable[[], None] | None = None
        self._connection: WatchedConnection | None = None
        self._thread = threading.get_ident()
        self._max_message_size = max_message_size
        self._deaf = False
        self._blocked = False
        self._watch = Watch(timeout)

    def watch(self, connection: BackendConnection) -> WatchedConnection:
        """Returns the connection wrapped, so that this sink knows its calls."""
        if self._connection is not None:
            raise RuntimeError("a sink belongs to one connection")
        self._connection = WatchedConnection(connection, self)
        return self._connection

    # What the plugin calls

    def message(self, message: Message, /) -> bool:
        """See Sink."""
        if self._deaf:
            return False
        self._check_call("message")
        self._check_type("message", message, Message)
        self._check_type("a message's data", message.data, bytes)
        if message.kind is TEXT and not _is_utf8(message.data):
            self._fault("a TEXT message is not valid UTF-8")
        if self._max_message_size is not None and message.size > self._max_message_size:
            self._fault(
                f"a message of {message.size} bytes was passed on, which is more than"
                f" limits.max_message_size, {self._max_message_size}"
            )
        self.messages.append(message)
        self._watch.changed()
        if self.on_message is not None:
            self.on_message(message)
        return self.client_is_there

    def delivered(self, count: int, /) -> None:
        """See Sink."""
        if self._deaf:
            return
        self._check_call("delivered")
        sent = self._connection.sent_count if self._connection else 0
        if count < 0:
            self._fault(f"delivered({count}): a count is not negative")
        self.delivered_count += count
        if self.delivered_count > sent:
            self._fault(f"{self.delivered_count} messages reported delivered, but {sent} were sent")
        self._watch.changed()

    def writable(self, writable: bool, /) -> None:
        """See Sink."""
        if self._deaf:
            return
        self._check_call("writable")
        self.writability.append(writable)
        self._watch.changed()

    def closed(self, close: Close, /) -> None:
        """See Sink."""
        if self._deaf:
            return
        self._check_call("closed")
        self._check_type("closed", close, Close)
        if self.end is None:
            self._note_end(close)

    # What the test calls

    def lose(self, close: Close) -> None:
        """Ends like the core after `BackendContext.down`; ignores later calls of the plugin."""
        if self.end is None:
            self._deaf = True
            self._note_end(close)

    def block(self, blocked: bool, /) -> None:
        """Acts as unwritable, like the core after `BackendContext.writable(False)`."""
        self._blocked = blocked
        self._watch.changed()

    @property
    def is_writable(self) -> bool:
        """The last report of `writable`, True at first; False while the backend is blocked."""
        return not self._blocked and (self.writability[-1] if self.writability else True)

    def check(self) -> None:
        """Raises an error if the contract was broken.

        Raises:
            AssertionError: the contract was broken; the text lists all breaches.
        """
        if self.faults:
            raise AssertionError("the contract was broken:\n  " + "\n  ".join(self.faults))

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Waits for a condition over this sink.

        Raises:
            AssertionError: the timeout was reached, or the contract was broken.
        """
        await self._watch.until(
            lambda: bool(self.faults) or condition(), lambda: f"{what}; so far {self!r}"
        )
        self.check()

    async def until_messages(self, count: int) -> list[Message]:
        """Waits for `count` messages in total; returns all messages."""
        await self.until(lambda: len(self.messages) >= count, f"{count} messages")
        return self.messages

    async def until_delivered(self, count: int) -> None:
        """Waits until `count` messages in total are reported as delivered."""
        await self.until(lambda: self.delivered_count >= count, f"{count} deliveries")

    async def until_writable(self, writable: bool) -> None:
        """Waits until `is_writable` has this value."""
        await self.until(lambda: self.is_writable == writable, f"writable({writable})")

    async def until_closed(self, what: str = "the end of the connection") -> Close:
        """Waits for the end and returns it."""
        await self.until(lambda: self.end is not None, what)
        assert self.end is not None
        return self.end

    def __repr__(self) -> str:
        return (
            f"<RecordingSink: {len(self.messages)} messages, {self.delivered_count} delivered,"
            f" writable={self.is_writable}, end={self.end}>"
        )

    # Inside

    def report(self, fault: str) -> None:
        """Records a breach that the watched connection found."""
        self._fault(fault)

    def _note_end(self, close: Close) -> None:
        self.end = close
        self._watch.changed()
        if self.on_closed is not None:
            self.on_closed()

    def _check_call(self, name: str) -> None:
        connection = self._connection
        if threading.get_ident() != self._thread:
            self._fault(f"{name}() was called from another thread")
        if self.end is not None:
            self._fault(f"{name}() was called after closed()")
        if connection is None or not connection.started:
            # a connection that is closed without a start may report its end
            if not (name == "closed" and connection is not None and connection.close_called):
                self._fault(f"{name}() was called before start()")
        elif connection.inside is not None:
            self._fault(f"{name}() was called from inside {connection.inside}()")

    def _check_type(self, what: str, value: object, expected: type) -> None:
        if not isinstance(value, expected):
            self._fault(f"{what}: {type(value).__name__} instead of {expected.__name__}")

    def _fault(self, text: str) -> None:
        self.faults.append(text)
        self._watch.changed()


class WatchedConnection:
    """A BackendConnection whose calls are recorded.

    It passes numbers to a NumberedConnection, counted from `number`.

    Attributes:
        sent_count: how many messages were sent.
        number: the number of the last message sent.
        started, close_called: whether `start` and `close` were called.
        inside: the method that is running now, or None.
    """

    def __init__(self, connection: BackendConnection, sink: RecordingSink) -> None:
        self.sent_count = 0
        self.number = 0
        self.started = False
        self.close_called = False
        self.inside: str | None = None
        self._connection = connection
        self._numbered = connection if isinstance(connection, NumberedConnection) else None
        self._sink = sink

    @property
    def subprotocol(self) -> str | None:
        """See BackendConnection."""
        return self._connection.subprotocol

    @property
    def headers(self) -> Headers:
        """See BackendConnection."""
        return self._connection.headers

    def start(self) -> None:
        """See BackendConnection."""
        self.started = True
        with self._noted("start"):
            self._connection.start()

    def send(self, message: Message, /) -> None:
        """See BackendConnection."""
        if self._sink.end is None:  # later ones are ignored, so they must not be reported
            self.sent_count += 1
        self.number += 1
        with self._noted("send"):
            if self._numbered is not None:
                self._numbered.send_numbered(message, self.number)
            else:
                self._connection.send(message)

    def pause(self) -> None:
        """See BackendConnection."""
        with self._noted("pause"):
            self._connection.pause()

    def resume(self) -> None:
        """See BackendConnection."""
        with self._noted("resume"):
            self._connection.resume()

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        """See BackendConnection."""
        self.close_called = True
        with self._noted("close"):
            self._connection.close(code, reason, cause)

    @contextmanager
    def _noted(self, method: str) -> Iterator[None]:
        outer, self.inside = self.inside, method
        try:
            yield
        except Exception as error:
            self._sink.report(f"{method}() raised {error!r}")
            raise
        finally:
            self.inside = outer


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
