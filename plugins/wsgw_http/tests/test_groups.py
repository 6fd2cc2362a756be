"""Web applications beside websocket backends."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve

from .application import PATIENCE, Application, Recorded
from .conftest import StartGateway

SESSIONS = 10


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def echo_number(recorded: Recorded) -> web.Response:
    return web.Response(body=recorded.body, content_type="text/plain")


def kill(server: Server) -> None:
    """End a websocket server as a process that is killed does."""
    server.close(close_connections=False)
    for connection in tuple(server.all_connections):
        connection.transport.abort()


async def say(clients: list[ClientConnection], text: str) -> None:
    """Send a text by each client, and wait until it comes back."""
    for client in clients:
        await client.send(text)
    for client in clients:
        async with asyncio.timeout(PATIENCE):
            while await client.recv() != text:
                pass  # of what a replay has answered once more


async def test_sessions_go_on_at_the_application_and_come_back(
    application: Application, start_gateway: StartGateway
) -> None:
    """The numbers go on, and what may come twice says so."""
    application.on_message = echo_number
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(echo, "127.0.0.1", 0))
        port = server.sockets[0].getsockname()[1]
        fast = {"ack-interval": "1ms", "replay-window": "0s"}
        gateway = await start_gateway(
            application, {"url": f"ws://127.0.0.1:{port}", "id": "ws", **fast}, priority=2
        )
        clients = [await stack.enter_async_context(connect(gateway.url)) for _ in range(SESSIONS)]
        await say(clients, "1")
        assert not application.requests
        kill(server)
        await say(clients, "2")
        await say(clients, "3")
        by_session: dict[str, list[Recorded]] = {}
        for each in application.of("message"):
            by_session.setdefault(each.headers["X-Wsgw-Session"], []).append(each)
        assert len(by_session) == SESSIONS
        for messages in by_session.values():
            for message in messages:
                assert message.body == str(message.number).encode()
                assert message.number > 1 or message.headers["X-Wsgw-Replayed"] == "1"
            assert [message.number for message in messages][-2:] == [2, 3]
        assert all(each.json["reconnect"] for each in application.of("connect"))
        revived = await serve(echo, "127.0.0.1", port)
        backend = gateway.gateway.steering.find_backend("app")
        assert backend is not None
        gateway.gateway.steering.drain(backend)
        async with asyncio.timeout(PATIENCE):
            while {each.backend_id for each in gateway.gateway.sessions} != {"ws"}:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        asked = len(application.requests)
        await say(clients, "4")
        assert len(application.requests) == asked
        assert not application.of("disconnect")
        for client in clients:
            await client.close()
        await application.until(lambda: len(application.of("disconnect")) == SESSIONS)
        revived.close()
        await revived.wait_closed()
