"""One session of a test of BackendContract."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar

from wsgw_core.api import Backend, Close, CloseCause, Message

from .backend_harness import BackendHarness
from .recording_sink import RecordingSink, WatchedConnection

T = TypeVar("T")


class Patiently(Protocol):
    """Awaits with a timeout; see Bench."""

    async def __call__(self, waiting: Awaitable[T], what: str) -> T:
        """Returns the result of `waiting`."""


class BenchSession:
    """One session of a test: its connection, its sink, and its side of the counterpart.

    Attributes:
        id: the session's id.
        backend: the backend that serves it.
        sink, connection: see RecordingSink.
    """

    def __init__(
        self,
        patiently: Patiently,
        harness: BackendHarness,
        backend: Backend,
        session_id: str,
        sink: RecordingSink,
        connection: WatchedConnection,
    ) -> None:
        self.id = session_id
        self.backend = backend
        self.sink = sink
        self.connection = connection
        self._patiently = patiently
        self._harness = harness

    def send(self, messages: Sequence[Message]) -> None:
        """Sends messages to the backend."""
        for message in messages:
            self.connection.send(message)

    async def reply(self, messages: Sequence[Message]) -> None:
        """Makes the application send messages to the session."""
        for message in messages:
            await self._patiently(self._harness.reply(self.id, message), "the application to send")

    async def expect_at_backend(self, messages: Sequence[Message]) -> None:
        """Waits until the application got exactly these messages, after those expected before."""
        for number, message in enumerate(messages, start=1):
            got = await self._patiently(
                self._harness.receive(self.id),
                f"message {number} of {len(messages)} to arrive, {message!r}",
            )
            assert got == message, f"message {number} should be {message!r}, but is {got!r}"

    async def receive_until(self, last: Message) -> list[Message]:
        """Returns the messages that the application gets from now on, up to `last`."""
        got: list[Message] = []
        while last not in got[-1:]:
            got.append(
                await self._patiently(
                    self._harness.receive(self.id), f"{last!r} to arrive behind {got[-3:]!r}"
                )
            )
        return got

    async def expect_replies(self, messages: Sequence[Message]) -> None:
        """Waits until the session got exactly these messages since its beginning."""
        heard = self.sink.messages

        def complete_or_wrong() -> bool:
            count = len(heard)
            return count >= len(messages) or (count > 0 and heard[-1] != messages[count - 1])

        await self.sink.until(complete_or_wrong, f"{len(messages)} replies")
        for number, (got, message) in enumerate(zip(heard, messages, strict=False), start=1):
            assert got == message, f"reply {number} should be {message!r}, but is {got!r}"
        assert len(heard) <= len(messages), f"an unexpected reply: {heard[len(messages)]!r}"

    def expect_to_have_heard(self, messages: Sequence[Message]) -> None:
        """Checks that a session whose connection has ended got exactly these messages."""
        heard = self.sink.messages
        assert heard == list(messages), (
            f"the end came after only {len(heard)} of {len(messages)} replies that had waited"
        )

    async def close(
        self, code: int = 1000, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> Close:
        """Closes the connection from the session's side; returns the end that it reports."""
        self.connection.close(code, reason, cause)
        return await self.sink.until_closed()
