"""Hydration: websocket backends require a login, and clients notice no change of backend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from wsgw_core.api import (
    Hydration,
    HydrationRefused,
    Message,
    Options,
    ReplyExpected,
    Session,
    ValveRegistry,
    hookimpl,
    per_session,
)

from .conftest import StartGateway
from .eventually import until

CLIENTS = 10
MESSAGES = 30
_LOGIN = 0.01  # seconds a login takes


class LoginValve:
    """Replays the answered login at hydration; other messages are delivered when answered."""

    def __init__(self, _options: Options, session: Session) -> None:
        self._session = session
        self._login: Message | None = None
        self._is_known = False

    def before_transmit(self, message: Message) -> Message:
        said = json.loads(message.data)
        if "login" in said:
            self._login = message
        return ReplyExpected(message.kind, message.data, said.get("number", "login"), expires=30)

    def after_receive(self, message: Message) -> Message:
        said = json.loads(message.data)
        self._is_known = self._is_known or "welcome" in said
        self._session.answered(said.get("number", "login"))
        return message

    def hydrate(self) -> list[Hydration]:
        return [Hydration(self._login, _is_welcome)] if self._is_known else []


def _is_welcome(message: Message) -> bool:
    said = json.loads(message.data)
    if "denied" in said:
        raise HydrationRefused("denied")
    return "welcome" in said


class LoginPlugin:
    WSGW_API = "1.0"

    @hookimpl
    def wsgw_register_valves(self, registry: ValveRegistry) -> None:
        registry.add("login", Options, per_session(LoginValve))


class LoginServer:
    """Answers numbers; closes with 4401 a connection that sends other messages before the login.

    Attributes:
        connections: that are open.
        breaks: the fault at a login, before its answer; "": none.
    """

    def __init__(self) -> None:
        self.connections: set[ServerConnection] = set()
        self.breaks = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        async with serve(self._serve, "127.0.0.1", 0, ping_interval=None) as server:
            (socket,) = server.sockets
            yield f"ws://127.0.0.1:{socket.getsockname()[1]}"

    def kill(self) -> None:
        """Break all connections off."""
        for connection in tuple(self.connections):
            connection.transport.abort()

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        try:
            await self._log_in(connection)
            async for message in connection:
                await connection.send(message)
        except ConnectionClosed:
            pass
        finally:
            self.connections.discard(connection)

    async def _log_in(self, connection: ServerConnection) -> None:
        assert "login" in json.loads(await connection.recv())
        if self.breaks == "abort":
            connection.transport.abort()
        elif self.breaks == "deny":
            await connection.send('{"denied": true}')
        if self.breaks:
            await connection.wait_closed()
        try:
            async with asyncio.timeout(_LOGIN):
                await connection.recv()
        except TimeoutError:
            await connection.send('{"welcome": true}')
        else:
            await connection.close(4401, "not logged in")


async def _converse(url: str, talking: asyncio.Barrier) -> list[dict[str, int]]:
    """Log in and send numbers; return the answers."""
    async with connect(url) as client:
        await client.send('{"login": "me"}')
        heard = [json.loads(await client.recv())]
        await talking.wait()
        sending = asyncio.create_task(_send_numbers(client))
        while len(heard) <= MESSAGES:
            heard.append(json.loads(await client.recv()))
        await sending
    return heard


async def _send_numbers(client: ClientConnection) -> None:
    for number in range(MESSAGES):
        await client.send(json.dumps({"number": number}))
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("breaks", ["", "abort", "deny", "silence"])
async def test_clients_notice_no_kill_when_the_next_backend_fails_at_login(
    start_gateway: StartGateway, breaks: str
) -> None:
    servers = LoginServer(), LoginServer()
    async with servers[0].listening() as blue, servers[1].listening() as green:
        gateway = await start_gateway(
            {"url": blue},
            {"url": green},
            plugins=[LoginPlugin()],
            valves=[{"kind": "login"}],
            failover={"hydration-timeout": "200ms" if breaks == "silence" else "60s"},
        )
        talking = asyncio.Barrier(CLIENTS + 1)
        clients = [asyncio.create_task(_converse(gateway.url, talking)) for _ in range(CLIENTS)]
        await talking.wait()
        await asyncio.sleep(0.05)
        servers[1].breaks, lost = breaks, len(servers[0].connections)
        servers[0].kill()
        heard = await asyncio.gather(*clients)
        await until(lambda: not gateway.gateway.sessions)

    expected = [{"welcome": True}, *({"number": number} for number in range(MESSAGES))]
    assert heard == [expected] * CLIENTS
    failed = gateway.count("hydrations_failed")
    assert lost
    assert failed >= lost if breaks else failed == 0
