"""A broker in memory, and a correct backend for it whose sessions share one link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from wsgw_core.api import (
    BINARY,
    TEXT,
    BackendContext,
    BackendUnavailable,
    Close,
    DialRequest,
    Headers,
    Message,
    ReplyBuffers,
    ReplyOutcome,
    SharedLink,
    Sink,
    WindowedConnection,
)
from wsgw_core.testing.backend_harness import BackendHarness, Inbox

from .memory_backend import is_utf8

Acknowledge = Callable[[bool], object]


class Wire:
    """A link to the broker: what it carries arrives a turn of the loop later, and in order."""

    on_reply: Callable[[str, Message], object]
    on_end: Callable[[str, Close], object]
    on_lost: Callable[[], object]

    def __init__(self, broker: Broker) -> None:
        self.is_open = True
        self._broker = broker
        self._loop = asyncio.get_running_loop()

    def publish(self, session_id: str, message: Message, acknowledge: Acknowledge) -> None:
        """Stores a message; calls `acknowledge` with whether it was stored."""
        self._soon(self._broker.store, self, session_id, message, acknowledge)

    def ping(self, on_pong: Callable[[], object]) -> None:
        """Asks for a sign of life, which comes after the answers to earlier messages."""
        self._soon(self._broker.answer, self, on_pong)

    def _soon(self, call: Callable[..., object], *arguments: object) -> None:
        self._loop.call_soon(self._if_open, call, *arguments)

    def _if_open(self, call: Callable[..., object], *arguments: object) -> None:
        if self.is_open:
            call(*arguments)


class Broker:
    """Stores messages by session, and sends replies to all that are connected."""

    def __init__(self, *, alive: bool = True) -> None:
        self.alive = alive
        self.frozen = False
        self.refusing = False
        self.inbox = Inbox()
        self.requests: dict[str, DialRequest] = {}
        self.wires: list[Wire] = []
        self._held: list[tuple[Wire, Callable[[], object]]] = []

    async def dial(self) -> Wire:
        """Returns a wire after a few turns of the loop, in each of which it may be cancelled."""
        for _ in range(5):
            await asyncio.sleep(0)
        if not self.alive:
            raise BackendUnavailable("nobody is there")
        wire = Wire(self)
        self.wires.append(wire)
        return wire

    def store(self, wire: Wire, session_id: str, message: Message, tell: Acknowledge) -> None:
        """Stores a message, or refuses it."""
        if self.frozen:
            self._held.append((wire, partial(self.store, wire, session_id, message, tell)))
            return
        if not self.refusing:
            self.inbox.put(session_id, message)
        tell(not self.refusing)

    def answer(self, wire: Wire, on_pong: Callable[[], object]) -> None:
        """Answers a ping, whatever is stored."""
        if self.frozen:
            self._held.append((wire, on_pong))
        else:
            on_pong()

    def thaw(self) -> None:
        """Does the waiting work, unless its wire is cut."""
        self.frozen = False
        held, self._held = self._held, []
        for wire, go_on in held:
            if wire.is_open:
                go_on()

    def cut(self) -> None:
        """Loses all wires."""
        wires, self.wires = self.wires, []
        for wire in wires:
            wire.is_open = False
            asyncio.get_running_loop().call_soon(wire.on_lost)


class BrokerConnection(WindowedConnection):
    """One session's messages: each is delivered when the broker has stored it."""

    wire: Wire

    def write(self, number: int, message: Message) -> None:
        self.wire.publish(self.session_id, message, partial(self.settle, number))

    def settle(self, number: int, stored: bool) -> None:
        """Takes the broker's answer."""
        if stored:
            self.confirmed(number)
        else:
            self.refused(number, Close(1013, "the broker is full", abnormal=True))


Link = SharedLink[Wire, BrokerConnection]


class BrokerBackend:
    """Connects sessions by one wire."""

    connection_class: ClassVar[type[BrokerConnection]] = BrokerConnection
    link_class: ClassVar[type[Link]] = Link

    def __init__(self, broker: Broker, context: BackendContext) -> None:
        self.broker = broker
        self.context = context
        self.link = self.link_class(context, self._dial, self._hang_up)
        self.replies = ReplyBuffers[None](context)

    async def open(self) -> None:
        """Nothing to do: the wire is dialled with the first session."""

    async def connect(self, request: DialRequest, sink: Sink) -> BrokerConnection:
        wire = await self.link.get()
        connection = self.connection_class(request.session_id, sink, self.context, self.replies)
        connection.wire = wire
        self.introduce(request)
        self.link.add(wire, connection)
        return connection

    async def probe(self) -> None:
        await self.link.get()

    async def close(self) -> None:
        await self.link.close()

    # What the wrong ones do wrong

    def introduce(self, request: DialRequest) -> None:
        """Introduces a session to the application."""
        self.broker.requests[request.session_id] = request

    def take_reply(self, session_id: str, message: Message) -> None:
        """Passes a reply on, if necessary by `BackendContext.deliver`."""
        if message.kind is TEXT and not is_utf8(message.data):
            message = Message(BINARY, message.data)
        connection = self.link.find(session_id)
        outcome = connection.receive(message) if connection else ReplyOutcome.UNKNOWN_SESSION
        if outcome is ReplyOutcome.UNKNOWN_SESSION:
            self.context.deliver(session_id, message)
        elif outcome is ReplyOutcome.TOO_LARGE and connection is not None:
            connection.end(Close(1011, "the application's message is too long"))

    def lose(self, wire: Wire) -> None:
        """Reports the loss of the wire to all sessions."""
        self.link.lost(wire, "the broker is lost")

    # Inside

    async def _dial(self) -> Wire:
        wire = await self.broker.dial()
        wire.on_reply = self.take_reply
        wire.on_end = self._end
        wire.on_lost = partial(self.lose, wire)
        return wire

    async def _hang_up(self, wire: Wire) -> None:
        wire.is_open = False
        if wire in self.broker.wires:
            self.broker.wires.remove(wire)

    def _end(self, session_id: str, close: Close) -> None:
        connection = self.link.find(session_id)
        if connection is not None:
            connection.end(close)


class BrokerHarness(BackendHarness):
    """The harness for the broker in memory."""

    def __init__(self, backend_class: type[BrokerBackend]) -> None:
        self._backend_class = backend_class

    async def start(self) -> None:
        self._broker = Broker()

    def make_backend(self, context: BackendContext) -> BrokerBackend:
        return self._backend_class(self._broker, context)

    def make_unreachable_backend(self, context: BackendContext) -> BrokerBackend:
        return self._backend_class(Broker(alive=False), context)

    async def receive(self, session_id: str) -> Message:
        return await self._broker.inbox.get(session_id)

    async def request(self, session_id: str) -> tuple[str, Headers]:
        request = self._broker.requests[session_id]
        return request.path, request.headers

    async def reply(self, session_id: str, message: Message) -> None:
        await asyncio.sleep(0)
        for wire in self._broker.wires:
            wire.on_reply(session_id, message)

    async def end(self, session_id: str, code: int, reason: str) -> None:
        for wire in self._broker.wires:
            wire.on_end(session_id, Close(code, reason))

    async def break_off(self, session_id: str) -> None:
        self._broker.cut()

    async def freeze(self) -> None:
        self._broker.frozen = True

    async def thaw(self) -> None:
        self._broker.thaw()

    async def refuse(self) -> None:
        self._broker.refusing = True

    async def accept(self) -> None:
        self._broker.refusing = False
