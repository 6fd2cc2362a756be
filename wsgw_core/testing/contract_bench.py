"""What one test of BackendContract works with: a backend, its sessions, and who cleans up."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from wsgw_core.api import (
    Backend,
    Close,
    CloseCause,
    DialRequest,
    Limits,
    Message,
    SessionTrackingBackend,
)

from .backend_harness import BackendHarness, Capabilities
from .blocking_calls import watching_for_blocking_calls
from .context import make_context
from .descriptors import open_descriptors
from .fake_control import FakeControl
from .recording_sink import RecordingSink, WatchedConnection

T = TypeVar("T")


class BenchSession:
    """One session of a test: its connection, its sink, and its side of the counterpart.

    Attributes:
        id: the session's.
        backend: that serves it.
        sink, connection: see RecordingSink.
    """

    def __init__(
        self,
        bench: Bench,
        backend: Backend,
        session_id: str,
        sink: RecordingSink,
        connection: WatchedConnection,
    ) -> None:
        self.id = session_id
        self.backend = backend
        self.sink = sink
        self.connection = connection
        self._bench = bench

    def send(self, messages: Sequence[Message]) -> None:
        """Send towards the backend."""
        for message in messages:
            self.connection.send(message)

    async def reply(self, messages: Sequence[Message]) -> None:
        """Have the application send to the session."""
        for message in messages:
            await self._bench.patiently(
                self._bench.harness.reply(self.id, message), "the application to send"
            )

    async def expect_at_backend(self, messages: Sequence[Message]) -> None:
        """Wait until the application got just these messages, after those expected before."""
        for number, message in enumerate(messages, start=1):
            got = await self._bench.patiently(
                self._bench.harness.receive(self.id),
                f"message {number} of {len(messages)} to arrive, {message!r}",
            )
            assert got == message, f"message {number} should be {message!r}, but is {got!r}"

    async def receive_until(self, last: Message) -> list[Message]:
        """Return what the application got, after what was expected before, up to this message."""
        got: list[Message] = []
        while last not in got[-1:]:
            got.append(
                await self._bench.patiently(
                    self._bench.harness.receive(self.id), f"{last!r} to arrive behind {got[-3:]!r}"
                )
            )
        return got

    async def expect_replies(self, messages: Sequence[Message]) -> None:
        """Wait until the session has heard just these messages since its beginning."""
        heard = self.sink.messages

        def complete_or_wrong() -> bool:
            count = len(heard)
            return count >= len(messages) or (count > 0 and heard[-1] != messages[count - 1])

        await self.sink.until(complete_or_wrong, f"{len(messages)} replies")
        for number, (got, message) in enumerate(zip(heard, messages, strict=False), start=1):
            assert got == message, f"reply {number} should be {message!r}, but is {got!r}"
        assert len(heard) <= len(messages), f"an unexpected reply: {heard[len(messages)]!r}"

    async def close(
        self, code: int = 1000, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> Close:
        """Close from the session's side, wait for the end and return it."""
        self.connection.close(code, reason, cause)
        return await self.sink.until_closed()


class Bench:
    """Makes backends and sessions on a harness, and checks at the end that nothing is left.

    Attributes:
        harness: the counterpart.
        capabilities: what the kind declares.
        backend: the backend under test, open.
        patience: seconds after which waiting fails.
    """

    backend: Backend

    def __init__(
        self, harness: BackendHarness, capabilities: Capabilities, limits: Limits, patience: float
    ) -> None:
        self.harness = harness
        self.capabilities = capabilities
        self.patience = patience
        self._limits = limits
        self._controls: dict[Backend, FakeControl] = {}
        self._sessions: list[BenchSession] = []
        self._unhandled: list[str] = []
        self._blocking: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Bench]:
        """Start the counterpart and a backend; afterwards end all and look for what is left."""
        asyncio.get_running_loop().set_exception_handler(self._note_unhandled)
        own_tasks = asyncio.all_tasks()
        await self.harness.start()
        async with self._afterwards(self.harness.stop):
            with watching_for_blocking_calls(self._blocking.append):
                async with (
                    self.another_backend() as self.backend,
                    self._afterwards(self._end_sessions),
                ):
                    yield self
        await self.until_tasks_are(own_tasks)
        for session in self._sessions:
            session.sink.check()
        assert not self._blocking, f"the event loop was blocked by: {'; '.join(self._blocking)}"
        assert not self._unhandled, f"unhandled in the event loop: {self._unhandled}"

    @asynccontextmanager
    async def another_backend(self) -> AsyncIterator[Backend]:
        """Open a backend on the counterpart and close it afterwards."""
        backend = self.make_backend()
        async with self._afterwards(
            lambda: self.patiently(backend.close(), "Backend.close() to return")
        ):
            await backend.open()
            yield backend

    def make_backend(self) -> Backend:
        """Return a backend on the counterpart that is neither opened nor closed by the bench."""
        control = FakeControl()
        backend = self.harness.make_backend(make_context(limits=self._limits, control=control))
        self._controls[backend] = control
        return backend

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """Have the counterpart take nothing meanwhile."""
        await self.harness.freeze()
        async with self._afterwards(self.harness.thaw):
            yield

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Have the counterpart refuse meanwhile to store anything."""
        await self.harness.refuse()
        async with self._afterwards(self.harness.accept):
            yield

    async def connect(self, backend: Backend | None = None) -> BenchSession:
        """Dial; the connection is not yet started."""
        return await self.dial(self.harness.make_request(uuid.uuid4().hex), backend)

    async def move(self, session: BenchSession) -> BenchSession:
        """Dial anew for a session, whose connection may be lost or still be open, and start."""
        request = dataclasses.replace(
            self.harness.make_request(session.id),
            reconnect=True,
            seen_up_to=session.connection.number,
        )
        moved = await self.dial(request, session.backend)
        moved.connection.number = session.sink.delivered_count
        moved.connection.start()
        return moved

    async def dial(self, request: DialRequest, backend: Backend | None = None) -> BenchSession:
        """Dial with a request of the test's own; the connection is not yet started."""
        backend = backend or self.backend
        sink = RecordingSink(patience=self.patience, max_message_size=self._limits.max_message_size)
        connection = await self.patiently(backend.connect(request, sink), "connect() to return")
        session = BenchSession(self, backend, request.session_id, sink, sink.watch(connection))
        self._controls[backend].attach(session.id, sink)
        self._sessions.append(session)
        return session

    async def session(self, backend: Backend | None = None) -> BenchSession:
        """Dial and start."""
        session = await self.connect(backend)
        session.connection.start()
        return session

    async def end(self, session: BenchSession, code: int = 1000, reason: str = "") -> Close:
        """End a session for good: close its connection, and tell a backend that tracks sessions."""
        connection, sink = session.connection, session.sink
        if not connection.close_called and sink.end is None:
            connection.close(code, reason)
        if connection.started:
            close = await sink.until_closed()
        else:
            close = Close(code, reason)
        self._tell_end(session, close)
        return close

    async def break_off(self, session: BenchSession) -> None:
        """Lose the session's counterpart, and have the loss noticed."""
        await self.patiently(self.harness.break_off(session.id), "the counterpart to break")
        if not self.capabilities.breaks_when_idle:
            session.send([Message.from_text("to notice the loss")])

    async def patiently(self, waiting: Awaitable[T], what: str) -> T:
        """Await something of the plugin or the harness that could take for ever.

        Raises:
            AssertionError: it did.
        """
        try:
            async with asyncio.timeout(self.patience) as bound:
                return await waiting
        except TimeoutError:
            if not bound.expired():
                raise
            raise AssertionError(f"waited {self.patience:g} s for {what}") from None

    async def until_tasks_are(self, before: set[asyncio.Task[Any]]) -> None:
        """Wait until no other tasks than these run."""
        await asyncio.sleep(0)  # whoever is just being cancelled, or fails in a callback, does so
        await self._until_gone(lambda: asyncio.all_tasks() - before)

    async def until_descriptors_are(self, before: frozenset[str] | None) -> None:
        """Wait until no other file descriptors than these are open."""
        if before is not None:
            await self._until_gone(lambda: (open_descriptors() or frozenset()) - before)

    async def _until_gone(self, find: Callable[[], Collection[object]]) -> None:
        try:
            async with asyncio.timeout(self.patience):
                while find():  # noqa: ASYNC110 - nothing tells when one goes
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError("\n  ".join(("left behind:", *sorted(map(str, find()))))) from None

    async def _end_sessions(self) -> None:
        for session in self._sessions:
            if not session.connection.close_called and session.sink.end is None:
                session.connection.close(1000)
        for session in self._sessions:
            session.sink.check()
            await self.end(session)

    def _tell_end(self, session: BenchSession, close: Close) -> None:
        control = self._controls[session.backend]
        if control.detach(session.id) and isinstance(session.backend, SessionTrackingBackend):
            session.backend.session_ended(session.id, close, CloseCause.SESSION_ENDED)

    @asynccontextmanager
    async def _afterwards(self, clean_up: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Clean up in any case; when something has failed already, that is what is raised."""
        try:
            yield
        except BaseException as first:
            try:
                await self.patiently(clean_up(), "the test to clean up")
            except Exception as second:  # noqa: BLE001 - a consequence of the first, as a rule
                first.add_note(f"After this had failed, cleaning up failed too: {second}")
            raise
        await clean_up()

    def _note_unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._unhandled.append(context["message"] + (f": {error!r}" if error else ""))
