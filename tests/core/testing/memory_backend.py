"""A counterpart in memory, and two correct backends for it: one of each way to write one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar
from weakref import WeakSet

from wsgw_core.api import (
    TEXT,
    BackendContext,
    BackendUnavailable,
    Close,
    CloseCause,
    DialRequest,
    Headers,
    Message,
    OrderedConnection,
    Sink,
)
from wsgw_core.testing.backend_harness import BackendHarness, Inbox


class Link:
    """One session's wire: what it carries arrives a turn of the loop later, and in order."""

    on_message: Callable[[Message], object]
    on_close: Callable[[Close], object]

    def __init__(self, counterpart: Counterpart, request: DialRequest) -> None:
        self.is_open = True
        self.request = request
        self.max_message_size = 0
        self._counterpart = counterpart
        self._session_id = request.session_id

    async def write(self, message: Message) -> None:
        """Returns when the counterpart has the message."""
        await asyncio.sleep(0)
        await self._counterpart.thawed.wait()
        if not self.is_open:
            raise BackendUnavailable("the link is broken")
        self._counterpart.inbox.put(self._session_id, message)

    def arrive(self, message: Message) -> None:
        """Takes a message of the counterpart; ends the connection for an invalid one."""
        if message.size > self.max_message_size:
            self.on_close(Close(1011, "the counterpart's message is too long"))
        elif message.kind is TEXT and not is_utf8(message.data):
            self.on_close(Close(1011, "the counterpart's text is not UTF-8"))
        else:
            self.on_message(message)

    def hang_up(self) -> None:
        """Closes from the backend plugin's side."""
        self.is_open = False
        if self._counterpart.links.get(self._session_id) is self:
            del self._counterpart.links[self._session_id]


class Counterpart:
    """The server side of the backends."""

    def __init__(self, *, alive: bool = True) -> None:
        self.alive = alive
        self.links: dict[str, Link] = {}
        self.inbox = Inbox()
        self.thawed = asyncio.Event()
        self.thawed.set()

    async def dial(self, request: DialRequest) -> Link:
        """Returns a link after a few turns of the loop, in each of which it may be cancelled."""
        for _ in range(5):
            await asyncio.sleep(0)
        if not self.alive:
            raise BackendUnavailable("nobody is there")
        link = self.links[request.session_id] = Link(self, request)
        return link


class OrderedMemoryConnection(OrderedConnection):
    """Written with the class that the contract offers."""

    def __init__(self, link: Link, sink: Sink, context: BackendContext) -> None:
        super().__init__(sink, context)
        self.link = link
        self.over = asyncio.Event()
        self._arrived: asyncio.Queue[Message | Close] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None
        link.on_message = link.on_close = self._arrived.put_nowait

    def start(self) -> None:
        super().start()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def transmit(self, message: Message) -> None:
        await self.link.write(message)

    async def finish(self, close: Close) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self.link.hang_up()
        self.over.set()

    async def _read(self) -> None:
        while True:
            await self.ready()
            arrived = await self._arrived.get()
            if isinstance(arrived, Close):
                self.end(arrived)
                return
            self.receive(arrived)


class DirectMemoryConnection:
    """Written against the protocol, without a task while there is nothing to send."""

    subprotocol: str | None = None
    headers: Headers = ()

    def __init__(self, link: Link, sink: Sink, context: BackendContext) -> None:
        self.link = link
        self.sink = sink
        self.loop = asyncio.get_running_loop()
        self._limits = context.limits
        self._outgoing: deque[Message] = deque()
        self._outgoing_bytes = 0
        self._writable = True
        self._incoming: deque[Message] = deque()
        self._flowing = False
        self.started = False
        self._closing: Close | None = None
        self._end: Close | None = None
        self.ended = False
        self.over = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        link.on_message = self.hear
        link.on_close = self.finish

    # From the counterpart

    def hear(self, message: Message) -> None:
        """Takes a reply."""
        if self._flowing and not self._incoming:
            self.sink.message(message)
        else:
            self._incoming.append(message)

    def finish(self, close: Close) -> None:
        """Ends the connection, or does so at the start."""
        self._end = self._end or self.judge(close)
        if self.ended or not (self.started or self._closing):
            return
        self.ended = True
        self.link.hang_up()
        self.over.set()
        if self._writer is not None:
            self._writer.cancel()
        while self.started and self._incoming:
            self.sink.message(self._incoming.popleft())
        self.tell_end(self._end)

    # From the session

    def start(self) -> None:
        self.started = True
        self.resume()

    def send(self, message: Message, /) -> None:
        if self.ended or self._closing is not None:
            return
        self._outgoing.append(message)
        self._outgoing_bytes += len(message.data)
        self.loop.call_soon(self._tell_writable)
        self._write_on()

    def pause(self) -> None:
        self._flowing = False

    def resume(self) -> None:
        self._flowing = True
        self.loop.call_soon(self._pass_on)

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        if self._closing is None and not self.ended:
            self._closing = Close(code, reason)
            self.loop.call_later(
                self._limits.close_timeout, self.finish, Close(1006, "too slow", abnormal=True)
            )
            self._write_on()

    # What the wrong ones do wrong

    async def transmit(self, message: Message) -> None:
        """Gives the counterpart one message and reports it."""
        await self.link.write(message)
        self.tell_delivered(1)

    def tell_delivered(self, count: int) -> None:
        """Reports deliveries."""
        self.sink.delivered(count)

    def judge(self, close: Close) -> Close:
        """Returns an end as the session is to see it; may cross a close and cut off messages."""
        crosses = self._closing is not None and close is not self._closing
        return replace(close, abnormal=True) if crosses and self._outgoing_bytes else close

    def tell_end(self, close: Close) -> None:
        """Reports the end."""
        self.sink.closed(close)

    # Inside

    def _write_on(self) -> None:
        if self._writer is None:
            self._writer = self.loop.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._outgoing:
                message = self._outgoing.popleft()
                await self.transmit(message)
                self._outgoing_bytes -= len(message.data)
                self._tell_writable()
        except BackendUnavailable as error:
            self.finish(Close(1006, error.reason, abnormal=True))
        self._writer = None
        if self._closing is not None:
            self.finish(self._closing)

    def _tell_writable(self) -> None:
        writable = self._outgoing_bytes <= self._limits.write_high_water
        if writable != self._writable and self.started and not self.ended:
            self._writable = writable
            self.sink.writable(writable)

    def _pass_on(self) -> None:
        while self._incoming and self._flowing and not self.ended:
            self.sink.message(self._incoming.popleft())
        if self._end is not None:
            self.finish(self._end)


def is_utf8(data: bytes) -> bool:
    """Returns whether a text may have this payload."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


Connection = OrderedMemoryConnection | DirectMemoryConnection


class MemoryBackend:
    """Dials a counterpart in memory."""

    connection_class: ClassVar[type[Connection]] = DirectMemoryConnection

    def __init__(self, counterpart: Counterpart, context: BackendContext) -> None:
        self.counterpart = counterpart
        self.context = context
        self.connections: WeakSet[Connection] = WeakSet()

    async def open(self) -> None:
        """Nothing to do."""

    async def connect(self, request: DialRequest, sink: Sink) -> Connection:
        link = await self.counterpart.dial(request)
        link.max_message_size = self.context.limits.max_message_size
        connection = self.connection_class(link, sink, self.context)
        self.connections.add(connection)
        return connection

    async def probe(self) -> None:
        if not self.counterpart.alive:
            raise BackendUnavailable("nobody is there")

    async def close(self) -> None:
        """Waits for the connections, all of which are closing."""
        await asyncio.gather(*(connection.over.wait() for connection in self.connections))


class OrderedMemoryBackend(MemoryBackend):
    connection_class = OrderedMemoryConnection


class MemoryHarness(BackendHarness):
    """The harness for the counterpart in memory."""

    def __init__(self, backend_class: type[MemoryBackend]) -> None:
        self._backend_class = backend_class

    async def start(self) -> None:
        self._counterpart = Counterpart()

    @property
    def is_thawed(self) -> bool:
        """Whether the counterpart takes messages."""
        return self._counterpart.thawed.is_set()

    def make_backend(self, context: BackendContext) -> MemoryBackend:
        return self._backend_class(self._counterpart, context)

    def make_unreachable_backend(self, context: BackendContext) -> MemoryBackend:
        return self._backend_class(Counterpart(alive=False), context)

    async def receive(self, session_id: str) -> Message:
        return await self._counterpart.inbox.get(session_id)

    async def request(self, session_id: str) -> tuple[str, Headers]:
        request = self._counterpart.links[session_id].request
        return request.path, request.headers

    async def reply(self, session_id: str, message: Message) -> None:
        await asyncio.sleep(0)
        self._counterpart.links[session_id].arrive(message)

    async def end(self, session_id: str, code: int, reason: str) -> None:
        link = self._counterpart.links.pop(session_id)
        link.is_open = False
        link.on_close(Close(code, reason))

    async def break_off(self, session_id: str) -> None:
        link = self._counterpart.links.pop(session_id)
        link.is_open = False
        asyncio.get_running_loop().call_soon(link.on_close, Close(1006, "reset", abnormal=True))

    async def freeze(self) -> None:
        self._counterpart.thawed.clear()

    async def thaw(self) -> None:
        self._counterpart.thawed.set()
