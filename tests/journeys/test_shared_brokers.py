"""A kind made of SharedLink, WindowedConnection and ReplyBuffers, in a running gateway."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from wsgw_core.api import (
    BackendContext,
    BackendRegistry,
    BackendUnavailable,
    DialRequest,
    Message,
    Options,
    ReplyBuffers,
    ReplyOutcome,
    SharedLink,
    Sink,
    WindowedConnection,
    hookimpl,
)

from .conftest import StartGateway
from .eventually import until


class Broker:
    """Stores published messages, and acknowledges them some turns of the loop later.

    Attributes:
        is_there: whether it can be dialled.
        stored: the numbers and texts of each session, in order.
        clients: that are connected.
    """

    def __init__(self) -> None:
        self.is_there = True
        self.stored: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        self.clients: list[BrokerClient] = []

    async def connect(self) -> BrokerClient:
        await asyncio.sleep(0.01)
        if not self.is_there:
            raise BackendUnavailable("no broker")
        client = BrokerClient(self)
        self.clients.append(client)
        return client

    def die(self) -> None:
        self.is_there = False
        for client in self.clients:
            client.die()
        self.clients.clear()


class BrokerClient:
    """One connection to the broker; messages in flight are lost when it dies."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.is_open = True
        self.on_lost: Any = None

    def publish(self, connection: BrokerConnection, number: int, text: str) -> None:
        asyncio.get_running_loop().call_later(0.002, self._store, connection, number, text)

    def _store(self, connection: BrokerConnection, number: int, text: str) -> None:
        if self.is_open:
            self.broker.stored[connection.session_id].append((number, text))
            asyncio.get_running_loop().call_later(0.002, self._acknowledge, connection, number)

    def _acknowledge(self, connection: BrokerConnection, number: int) -> None:
        if self.is_open:
            connection.acknowledged(number)

    def die(self) -> None:
        self.is_open = False
        self.on_lost("connection reset")


class BrokerConnection(WindowedConnection):
    """One session's messages."""

    client: BrokerClient

    def write(self, number: int, message: Message) -> None:
        self.client.publish(self, number, message.text)


class BrokerBackend:
    """The kind."""

    def __init__(self, broker: Broker, context: BackendContext) -> None:
        self.context = context
        self._broker = broker
        self._replies = ReplyBuffers[Any](context, 64 * 1024)
        self.link = SharedLink[BrokerClient, BrokerConnection](context, self._dial, self._hang_up)

    async def _dial(self) -> BrokerClient:
        client = await self._broker.connect()
        client.on_lost = lambda reason: self.link.lost(client, reason)
        return client

    async def _hang_up(self, client: BrokerClient) -> None:
        client.is_open = False

    async def open(self) -> None: ...

    async def connect(self, request: DialRequest, sink: Sink) -> BrokerConnection:
        client = await self.link.get()
        connection = BrokerConnection(request.session_id, sink, self.context, self._replies)
        connection.client = client
        self.link.add(client, connection)
        return connection

    async def probe(self) -> None: ...

    async def close(self) -> None:
        await self.link.close()

    def reply(self, session_id: str, text: str) -> ReplyOutcome:
        """Deliver a reply, like a reader of the broker."""
        connection, message = self.link.find(session_id), Message.from_text(text)
        if connection is not None:
            return connection.receive(message)
        return self.context.deliver(session_id, message)


class Scene:
    """The plugin and the objects it has made."""

    backend: BrokerBackend

    def __init__(self) -> None:
        self.broker = Broker()

    def make(self, _options: Options, context: BackendContext) -> BrokerBackend:
        self.backend = BrokerBackend(self.broker, context)
        return self.backend

    @property
    def plugin(self) -> object:
        @hookimpl
        def wsgw_register_backends(registry: BackendRegistry) -> None:
            registry.add("broker", Options, self.make)

        return SimpleNamespace(WSGW_API="1.0", wsgw_register_backends=wsgw_register_backends)


async def until_closed(client: ClientConnection) -> AsyncIterator[str | bytes]:
    """Iterate over the messages until the connection ends in any way."""
    with suppress(ConnectionClosed):
        while True:
            yield await client.recv()


async def test_repeated_broker_failures_lose_no_message_and_close_no_client(
    start_gateway: StartGateway,
) -> None:
    scene = Scene()
    gateway = await start_gateway({"kind": "broker", "id": "broker"}, plugins=[scene.plugin])

    async def talk(client: ClientConnection) -> None:
        for number in range(300):
            await client.send(str(number))
            await asyncio.sleep(0.005)

    async def break_it() -> None:
        for _ in range(4):
            await asyncio.sleep(0.3)
            scene.broker.die()
            await asyncio.sleep(0.1)
            scene.broker.is_there = True

    clients = [await connect(gateway.url) for _ in range(10)]
    await asyncio.gather(break_it(), *(talk(client) for client in clients))
    await until(lambda: all(not each.unacknowledged for each in gateway.gateway.sessions))
    assert len(gateway.gateway.sessions) == len(scene.broker.stored) == 10
    for stored in scene.broker.stored.values():
        first: dict[int, str] = {}
        for number, text in stored:
            assert first.setdefault(number, text) == text  # the same number again
        assert list(first.items()) == [(number + 1, str(number)) for number in range(300)]
    await asyncio.gather(*(client.close() for client in clients))
    await until(lambda: not len(scene.backend.link))


async def test_slow_client_is_closed_without_affecting_others(start_gateway: StartGateway) -> None:
    scene = Scene()
    gateway = await start_gateway(
        {"kind": "broker", "id": "broker"},
        plugins=[scene.plugin],
        limits={"close-timeout": "1s"},
    )
    async with (
        connect(gateway.url, max_queue=1) as slow,
        connect(gateway.url) as other,
    ):
        await slow.send("slow")
        await other.send("other")
        await until(lambda: len(scene.broker.stored) == 2)
        ids = {stored[0][1]: session for session, stored in scene.broker.stored.items()}
        outcome = ReplyOutcome.TAKEN
        while outcome is not ReplyOutcome.SLOW_CLIENT:
            outcome = scene.backend.reply(ids["slow"], "x" * 16 * 1024)
            assert scene.backend.reply(ids["other"], "still here") is ReplyOutcome.TAKEN
            assert await other.recv() == "still here"
        assert gateway.count("slow_clients_closed") == 1
        received = [len(text) async for text in until_closed(slow)]
        assert set(received) == {16 * 1024}
        assert slow.close_code == 1008
        assert scene.backend.reply(ids["other"], "and now") is ReplyOutcome.TAKEN
        assert await other.recv() == "and now"
