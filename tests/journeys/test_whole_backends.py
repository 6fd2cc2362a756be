"""A kind whose sessions share one broker, in a running gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from wsgw_core.api import (
    BackendContext,
    BackendRegistry,
    Close,
    CloseCause,
    Message,
    Options,
    ReplyOutcome,
    hookimpl,
)
from wsgw_core.testing.fakes import FakeBackend, FakeNumberedConnection, Unavailable

from .conftest import StartGateway
from .eventually import until
from .scripted_backend import ScriptedBackend

BROKER: Mapping[str, Any] = {"kind": "broker", "id": "broker"}
TIMEOUT = 20.0


class Broker:
    """A plugin whose backends the test controls.

    Attributes:
        backends, contexts: the objects made, in order.
    """

    def __init__(self) -> None:
        self.backends: list[FakeBackend] = []
        self.contexts: list[BackendContext] = []

    def make(self, _options: Options, context: BackendContext) -> FakeBackend:
        self.contexts.append(context)
        backend = FakeBackend(acknowledge=True, numbered=True, timeout=TIMEOUT)
        self.backends.append(backend)
        return backend

    @property
    def plugin(self) -> object:
        class WithColour(Options):
            colour: str = ""

        @hookimpl
        def wsgw_register_backends(registry: BackendRegistry) -> None:
            registry.add("broker", WithColour, self.make)

        return SimpleNamespace(WSGW_API="1.0", wsgw_register_backends=wsgw_register_backends)


async def test_sessions_survive_a_lost_broker_and_get_late_replies(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    broker = Broker()
    entries = (BROKER, {"url": backend.url, "priority": 2})
    gateway = await start_gateway(*entries, plugins=[broker.plugin])
    (served,), (context,) = broker.backends, broker.contexts
    async with connect(gateway.url) as client:
        connection = await served.connection()
        assert isinstance(connection, FakeNumberedConnection)
        await client.send("one")
        await client.send("two")
        await connection.until_received(2)
        assert connection.numbers == [1, 2]
        session_id = connection.request.session_id

        served.otherwise = Unavailable("no broker")
        context.down("broker lost")
        moved = await backend.connection()
        assert moved.request is not None
        assert moved.request.headers["X-Wsgw-Session"] == session_id
        assert context.deliver(session_id, Message.from_text("late")) is ReplyOutcome.TAKEN
        assert await client.recv() == "late"
        assert context.deliver("nobody", Message.from_text("late")) is ReplyOutcome.UNKNOWN_SESSION

        await client.close(4001, "bye")
        await until(lambda: served.session_ends)
        end = (session_id, Close(4001, "bye"), CloseCause.CLIENT_LEFT)
        assert served.session_ends == [end]


async def test_new_clients_are_refused_with_retry_after_while_a_broker_is_down(
    start_gateway: StartGateway,
) -> None:
    broker = Broker()
    gateway = await start_gateway(BROKER, plugins=[broker.plugin])
    broker.backends[0].otherwise = Unavailable("too busy", retry_after=30)
    for _ in range(2):
        with pytest.raises(InvalidStatus) as refused:
            await connect(gateway.url)
        assert refused.value.response.status_code == 502
        assert refused.value.response.headers["Retry-After"] == "30"
    assert len(broker.backends[0].requests) == 1
    broker.backends[0].come_up()
    broker.contexts[0].up()
    async with connect(gateway.url):
        pass


async def test_clients_are_paused_while_the_broker_is_not_writable(
    start_gateway: StartGateway,
) -> None:
    broker = Broker()
    gateway = await start_gateway(BROKER, plugins=[broker.plugin])
    async with connect(gateway.url) as client:
        connection = await broker.backends[0].connection()
        broker.contexts[0].writable(False)
        (session,) = gateway.gateway.sessions
        await until(lambda: session.client_is_paused)
        await client.send("one")
        await asyncio.sleep(0.1)  # room for what must not happen
        assert connection.received == []
        broker.contexts[0].writable(True)
        await connection.until_received(1)


async def test_replaced_backend_serves_its_sessions_and_is_told_of_their_ends(
    start_gateway: StartGateway,
) -> None:
    broker = Broker()
    gateway = await start_gateway(BROKER, plugins=[broker.plugin])
    async with connect(gateway.url) as stays, connect(gateway.url) as leaves:
        await broker.backends[0].connection(1)
        await gateway.reload(
            {
                "server": {"frontend": {"address": "127.0.0.1:0"}},
                "upstream": {"backends": [{**BROKER, "colour": "red"}]},
            },
        )
        assert len(broker.backends) == 2
        await leaves.close(4002)
        await until(lambda: broker.backends[0].session_ends)
        await stays.send("still served")
        stays_at = next(
            each for each in broker.backends[0].connections if each.close_request is None
        )
        await stays_at.until_received(1)
    await until(lambda: len(broker.backends[0].session_ends) == 2)
    assert broker.backends[1].session_ends == []
