"""A broker in memory, for tests of the helpers of broker kinds."""

from __future__ import annotations

from wsgw_core.api import (
    BackendContext,
    BackendUnavailable,
    Close,
    Limits,
    Message,
    ReplyBuffers,
    WindowedConnection,
)
from wsgw_core.testing.context import make_context
from wsgw_core.testing.fakes import FakeControl
from wsgw_core.testing.recording_sink import RecordingSink, WatchedConnection
from wsgw_core.testing.virtual_clock import idle

LIMITS = Limits(write_high_water=1000, close_timeout=5)


class MemoryConnection(WindowedConnection):
    """Records the messages; the test acknowledges them."""

    written: list[tuple[int, str]]
    released = 0
    broken: Exception | None = None

    def write(self, number: int, message: Message) -> None:
        if self.broken is not None:
            raise self.broken
        self.written.append((number, message.text))

    def release(self) -> None:
        self.released += 1


class Broker:
    """A backend's context, its reply buffers, and sessions.

    Attributes:
        passed, back: the receipts of replies that had to wait.
    """

    def __init__(self, *, window: int = 4, reply_buffer: int = 1000) -> None:
        self.control = FakeControl()
        self.context: BackendContext = make_context(limits=LIMITS, control=self.control)
        self.passed: list[str] = []
        self.back: list[str] = []
        self.replies = ReplyBuffers[str](
            self.context, reply_buffer, passed_on=self.passed.append, not_taken=self.back.append
        )
        self._window = window

    def connection(self, session_id: str = "s1") -> MemoryConnection:
        connection = MemoryConnection(
            session_id,
            RecordingSink(timeout=3600),
            self.context,
            self.replies,
            window=self._window,
        )
        connection.written = []
        return connection

    def session(self, session_id: str = "s1", *, start: bool = True) -> BrokerSession:
        session = BrokerSession(self, self.connection(session_id))
        if start:
            session.watched.start()
        return session


class BrokerSession:
    """One session: its connection, and its side of it."""

    def __init__(self, broker: Broker, connection: MemoryConnection) -> None:
        self.connection = connection
        sink = connection._sink  # noqa: SLF001 - made above
        assert isinstance(sink, RecordingSink)
        self.sink = sink
        self.watched: WatchedConnection = sink.watch(connection)

    def send(self, *texts: str) -> None:
        for text in texts:
            self.watched.send(Message.from_text(text))

    def reply(self, *texts: str) -> list[str]:
        """Passes in replies whose texts are their receipts; returns their outcomes."""
        connection = self.connection
        return [connection.receive(Message.from_text(text), text).value for text in texts]

    def end(self) -> Close | None:
        """Returns how the connection ended; a method, so mypy does not narrow it."""
        return self.sink.end

    @property
    def written(self) -> list[int]:
        return [number for number, _ in self.connection.written]

    @property
    def heard(self) -> list[str]:
        return [message.text for message in self.sink.messages]

    async def settle(self) -> None:
        await idle()
        self.sink.check()


LOST = BackendUnavailable("broken pipe")
