"""The fixture of one test of BackendContract: makes backends and sessions, and cleans up."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
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
from .bench_session import BenchSession
from .blocking_calls import watching_for_blocking_calls
from .container_sizes import container_sizes
from .context import make_context
from .descriptors import open_descriptors
from .fake_control import FakeControl
from .recording_sink import RecordingSink

T = TypeVar("T")


class Bench:
    """Makes backends and sessions on a harness, and checks at the end that nothing is left.

    Attributes:
        harness: the counterpart.
        capabilities: the capabilities that the kind declares.
        backend: the backend under test, opened.
        timeout: the timeout in seconds.
    """

    backend: Backend

    def __init__(
        self, harness: BackendHarness, capabilities: Capabilities, limits: Limits, timeout: float
    ) -> None:
        self.harness = harness
        self.capabilities = capabilities
        self.timeout = timeout
        self._limits = limits
        self._controls: dict[Backend, FakeControl] = {}
        self._closed: list[Backend] = []
        self._sessions: list[BenchSession] = []
        self._unhandled: list[str] = []
        self._blocking: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Bench]:
        """Starts the counterpart and a backend; afterwards ends them and checks what is left."""
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
        """Opens a backend on the counterpart and closes it afterwards."""
        backend = self.make_backend()
        async with self._afterwards(lambda: self.close(backend)):
            await backend.open()
            yield backend

    def make_backend(self) -> Backend:
        """Returns a backend on the counterpart; the test opens and closes it."""
        control = FakeControl()
        backend = self.harness.make_backend(make_context(limits=self._limits, control=control))
        self._controls[backend] = control
        return backend

    async def close(self, backend: Backend) -> None:
        """Closes a backend whose connections are all closed or closing."""
        self._closed.append(backend)
        await self.patiently(backend.close(), "Backend.close() to return")

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """Freezes the counterpart within the `with` block."""
        await self.harness.freeze()
        async with self._afterwards(self.harness.thaw):
            yield

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Makes the counterpart refuse to store messages within the `with` block."""
        await self.harness.refuse()
        async with self._afterwards(self.harness.accept):
            yield

    def make_request(self) -> DialRequest:
        """Returns the request of a new session."""
        return self.harness.make_request(uuid.uuid4().hex)

    async def connect(self, backend: Backend | None = None) -> BenchSession:
        """Dials a new session; its connection is not yet started."""
        return await self.dial(self.make_request(), backend)

    async def move(self, session: BenchSession) -> BenchSession:
        """Dials again for a session, whose connection may be lost or open; starts the new one."""
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
        """Dials with a given request; the connection is not yet started."""
        backend = backend or self.backend
        sink = RecordingSink(timeout=self.timeout, max_message_size=self._limits.max_message_size)
        connection = await self.patiently(backend.connect(request, sink), "connect() to return")
        session = BenchSession(
            self.patiently, self.harness, backend, request.session_id, sink, sink.watch(connection)
        )
        self._controls[backend].attach(session.id, sink)
        self._sessions.append(session)
        return session

    async def session(self, backend: Backend | None = None) -> BenchSession:
        """Dials a new session and starts its connection."""
        session = await self.connect(backend)
        session.connection.start()
        return session

    async def end(self, session: BenchSession, code: int = 1000, reason: str = "") -> Close:
        """Ends a session: closes its connection, and reports it to a SessionTrackingBackend."""
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
        """Breaks the session's connection, and makes sure that the loss is noticed."""
        await self.patiently(self.harness.break_off(session.id), "the counterpart to break")
        if not self.capabilities.breaks_when_idle:
            session.send([Message.from_text("to notice the loss")])

    async def patiently(self, waiting: Awaitable[T], what: str) -> T:
        """Awaits a call of the plugin or the harness, with a timeout.

        Raises:
            AssertionError: the timeout was reached; the text names `what`.
        """
        try:
            async with asyncio.timeout(self.timeout) as bound:
                return await waiting
        except TimeoutError:
            if not bound.expired():
                raise
            raise AssertionError(f"waited {self.timeout:g} s for {what}") from None

    async def until_tasks_are(self, before: set[asyncio.Task[Any]]) -> None:
        """Waits until no other tasks than these run."""
        await asyncio.sleep(0)  # lets cancelled tasks end and callbacks fail
        await self._until_gone(lambda: asyncio.all_tasks() - before)

    async def until_descriptors_are(self, before: frozenset[str] | None) -> None:
        """Waits until no other file descriptors than these are open."""
        if before is not None:
            await self._until_gone(lambda: (open_descriptors() or frozenset()) - before)

    def container_sizes(self) -> Counter[str]:
        """Returns the sizes of the containers in the backend."""
        return container_sizes(
            self.backend, without=(self, self.harness, self._controls[self.backend])
        )

    async def until_containers_have_grown_less_than(self, count: int, before: Counter[str]) -> None:
        """Waits until no container in the backend has `count` more items than before."""
        await self._until_gone(
            lambda: [
                f"{path}: {size} items, {size - before[path]} more than before"
                for path, size in self.container_sizes().items()
                if size - before[path] >= count
            ]
        )

    async def _until_gone(self, find: Callable[[], Collection[object]]) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                pause = 0.01
                while find():  # there is no event for the end of a task
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, 1.0)
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
        backend = session.backend
        was_known = self._controls[backend].detach(session.id)
        if not was_known or backend in self._closed:
            return
        if isinstance(backend, SessionTrackingBackend):
            backend.session_ended(session.id, close, CloseCause.SESSION_ENDED)

    @asynccontextmanager
    async def _afterwards(self, clean_up: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Cleans up in any case; if the block has failed, raises that error."""
        try:
            yield
        except BaseException as first:
            try:
                await self.patiently(clean_up(), "the test to clean up")
            except Exception as second:  # noqa: BLE001 - usually a consequence of the first
                if str(second) != str(first):
                    first.add_note(f"Cleaning up after this error failed too: {second}")
            raise
        await clean_up()

    def _note_unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._unhandled.append(context["message"] + (f": {error!r}" if error else ""))
