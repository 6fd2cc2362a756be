"""Web applications beside websocket backends."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve

from .application import TIMEOUT, Application, Recorded
from .conftest import StartGateway

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

SESSIONS = 10


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def echo_number(recorded: Recorded) -> web.Response:
    return web.Response(body=recorded.body, content_type="text/plain")


def kill(server: Server) -> None:
    """Ends a websocket server like a killed process."""
    server.close(close_connections=False)
    for connection in tuple(server.all_connections):
        connection.transport.abort()


async def say(clients: list[ClientConnection], text: str) -> None:
    """Sends a text from each client and waits for its echo."""
    for client in clients:
        await client.send(text)
    for client in clients:
        async with asyncio.timeout(TIMEOUT):
            while await client.recv() != text:
                pass  # skips second answers to replayed messages


async def test_sessions_move_to_application_and_back(
    application: Application, start_gateway: StartGateway
) -> None:
    """Numbers continue, and messages that may come twice are marked."""
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
        backend = gateway.gateway.pool.find("app")
        assert backend is not None
        gateway.gateway.drain(backend.id)
        async with asyncio.timeout(TIMEOUT):
            while {each.backend_id for each in gateway.gateway.sessions} != {"ws"}:  # noqa: ASYNC110 - no event to await
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


async def talk(client: ClientConnection, name: int, last: int) -> list[str]:
    """Sends numbers at a steady rate; returns the answers."""

    async def say() -> None:
        for number in range(1, last + 1):
            await client.send(f"{name}:{number}")
            await asyncio.sleep(0.05)

    answers: list[str] = []
    saying = asyncio.create_task(say())
    async with asyncio.timeout(TIMEOUT):
        while f"{name}:{last}" not in answers:
            answers.append(str(await client.recv()))
    await saying
    return answers


def numbers_by_session(messages: list[Recorded], seen_elsewhere: set[str]) -> list[list[int]]:
    """Returns each session's numbers once; asserts that repeated ones are marked."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for message in messages:
        body, known = message.body.decode(), numbers[message.headers["X-Wsgw-Session"]]
        assert body.partition(":")[2] == str(message.number)
        if body in seen_elsewhere or message.number in known:
            assert message.headers["X-Wsgw-Replayed"] == "1"
        known.append(message.number)
    return [list(dict.fromkeys(each)) for each in numbers.values()]


@pytest.mark.slow
async def test_move_under_load_loses_nothing_and_marks_repeats(
    application: Application, start_gateway: StartGateway
) -> None:
    """The websocket backend dies while all clients send; a drain moves them back later."""
    count, last = 20, 80
    seen: set[str] = set()

    async def echo_and_note(connection: ServerConnection) -> None:
        async for message in connection:
            seen.add(str(message))
            await connection.send(message)

    application.on_message = echo_number
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(echo_and_note, "127.0.0.1", 0))
        port = server.sockets[0].getsockname()[1]
        gateway = await start_gateway(
            application, {"url": f"ws://127.0.0.1:{port}", "id": "ws"}, priority=2
        )
        clients = [await stack.enter_async_context(connect(gateway.url)) for _ in range(count)]
        talking = asyncio.gather(*(talk(each, name, last) for name, each in enumerate(clients)))
        async with asyncio.timeout(TIMEOUT):
            while len(seen) < count * last // 8:  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)
        kill(server)
        seen_before = set(seen)
        await application.until_messages(count * last // 8)
        revived = await stack.enter_async_context(serve(echo_and_note, "127.0.0.1", port))
        backend = gateway.gateway.pool.find("app")
        assert backend is not None
        gateway.gateway.drain(backend.id)
        for name, answers in enumerate(await talking):
            expected = [f"{name}:{number}" for number in range(1, last + 1)]
            assert list(dict.fromkeys(answers)) == expected
        assert all(each.close_code is None for each in clients)
        async with asyncio.timeout(TIMEOUT):
            while {each.backend_id for each in gateway.gateway.sessions} != {"ws"}:  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)
        kill(revived)
    messages = application.of("message")
    sessions = numbers_by_session(messages, seen_before)
    assert len(sessions) == count
    for numbers in sessions:
        assert numbers == [*range(numbers[0], numbers[-1] + 1)]
    again = (seen - seen_before) & {each.body.decode() for each in messages}
    assert not again, "a planned move repeats nothing"
