"""`limits.memory` bounds the memory of all sessions, without message loss."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartAdmin, StartGateway, StartRaw
from .eventually import TIMEOUT, until
from .raw_backend import BINARY, RawPeer
from .raw_client import raw_client, request

MIB = 1024 * 1024
OPTIONS: dict[str, Any] = {
    "compression": None,
    "ping_interval": None,
    "max_size": None,
    "close_timeout": 1,
}
LIMITS: dict[str, Any] = {"memory": "8MiB"}
PATIENT = {"ping-timeout": "90s"}
CHUNK = b"x" * 64 * 1024


StartServer = Callable[[Callable[[ServerConnection], Awaitable[None]]], Awaitable[dict[str, Any]]]


@pytest.fixture
async def start_server() -> AsyncIterator[StartServer]:
    """Start backends with the handler of the test; return their entries."""
    async with AsyncExitStack() as running:

        async def start(serve_one: Callable[[ServerConnection], Awaitable[None]]) -> dict[str, Any]:
            server = await running.enter_async_context(serve(serve_one, "127.0.0.1", 0, **OPTIONS))
            port = server.sockets[0].getsockname()[1]
            return {"url": f"ws://127.0.0.1:{port}", "ack-interval": "1ms", "replay-window": "0s"}

        yield start


async def connected(stack: AsyncExitStack, gateway: RunningGateway, count: int) -> Any:
    return [await stack.enter_async_context(connect(gateway.url, **OPTIONS)) for _ in range(count)]


async def send_all(client: ClientConnection, count: int) -> None:
    for number in range(count):
        await client.send(number.to_bytes(4, "big") + CHUNK)
        await asyncio.sleep(0.02)  # so that the gateway checks its memory several times meanwhile


def held(gateway: RunningGateway) -> int:
    return sum(session.is_paused_for_memory for session in gateway.gateway.sessions)


async def status_of_a_newcomer(gateway: RunningGateway) -> tuple[int, str | None]:
    try:
        async with connect(gateway.url, **OPTIONS):
            return 101, None
    except InvalidStatus as refused:
        return refused.response.status_code, refused.response.headers.get("Retry-After")


async def test_stalled_backend_pauses_clients_and_refuses_new_ones(
    start_gateway: StartGateway, start_server: StartServer, start_admin: StartAdmin
) -> None:
    thawed = asyncio.Event()

    async def serve_one(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await thawed.wait()
        connection.transport.resume_reading()
        async for message in connection:
            await connection.send(message[:4])

    gateway = await start_gateway(await start_server(serve_one), limits=LIMITS, failover=PATIENT)
    operator = await start_admin(gateway)
    try:
        async with AsyncExitStack() as stack:
            clients = await connected(stack, gateway, 12)
            sending = [asyncio.create_task(send_all(each, 80)) for each in clients]
            await until(lambda: held(gateway) >= 3, "clients are held")
            await until(lambda: gateway.count("memory_holds") >= 3)
            metrics = (await operator.call("GET", "/metrics")).text
            assert "wsgw_memory_limit_bytes 8.388608e+06" in metrics
            assert "wsgw_memory_bytes 0.0" not in metrics
            await asyncio.sleep(1)  # less than all clients could have sent in that time
            assert sum(session.held_bytes for session in gateway.gateway.sessions) < 9 * MIB
            thawed.set()
            for client in clients:
                got = [int.from_bytes(await client.recv(), "big") for _ in range(80)]
                assert got == list(range(80))
            await asyncio.gather(*sending)
            await until(lambda: not held(gateway), "all are read again")
            assert (await status_of_a_newcomer(gateway))[0] == 101
    finally:
        thawed.set()


async def test_clients_that_were_paused_with_frames_read_already_go_on(
    start_gateway: StartGateway, start_server: StartServer
) -> None:
    """These frames together need the whole bound, and no other bytes can become free."""
    thawed, came, got = asyncio.Event(), asyncio.Event(), 0
    clients, messages = 16, 40

    async def serve_one(connection: ServerConnection) -> None:
        nonlocal got
        connection.transport.pause_reading()
        await thawed.wait()
        connection.transport.resume_reading()
        async for _ in connection:
            got += 1
            if got == clients * messages:
                came.set()

    limits = {"memory": "2MiB", "ledger-bytes": "256KiB"}
    gateway = await start_gateway(await start_server(serve_one), limits=limits, failover=PATIENT)

    async def send_at_once(client: ClientConnection) -> None:
        for _ in range(messages):
            await client.send(CHUNK)

    try:
        async with AsyncExitStack() as stack:
            sending = [
                asyncio.create_task(send_at_once(each))
                for each in await connected(stack, gateway, clients)
            ]
            await until(lambda: held(gateway) == clients, "all are paused")
            thawed.set()
            async with asyncio.timeout(TIMEOUT):
                await came.wait()
                await asyncio.gather(*sending)
    finally:
        thawed.set()


async def test_new_clients_get_503_while_the_memory_limit_is_reached(
    start_gateway: StartGateway, start_server: StartServer
) -> None:
    thawed = asyncio.Event()

    async def serve_one(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await thawed.wait()
        connection.transport.resume_reading()
        await connection.wait_closed()

    limits = {"memory": "1MiB", "ledger-bytes": "4MiB"}
    gateway = await start_gateway(await start_server(serve_one), limits=limits, failover=PATIENT)
    try:
        async with connect(gateway.url, **OPTIONS) as client:
            for _ in range(4):
                await client.send(bytes(MIB))
            await until(lambda: gateway.count("memory_holds"), "the client is held")
            status, retry_after = await status_of_a_newcomer(gateway)
            assert status == 503
            assert 5 <= int(retry_after or 0) <= 15
            assert gateway.count("refused_memory") == 1
            thawed.set()
            await until(lambda: not held(gateway), "the client is read again")
            while (status := (await status_of_a_newcomer(gateway))[0]) == 503:
                pass  # what it still sends may reach the limit again
            assert status == 101
    finally:
        thawed.set()


@pytest.mark.slow
async def test_partly_sent_messages_complete_at_the_memory_limit(
    start_gateway: StartGateway, start_server: StartServer
) -> None:
    async def serve_one(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    gateway = await start_gateway(await start_server(serve_one), limits=LIMITS, failover=PATIENT)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(raw_client(gateway.host, gateway.port))
            for _ in range(16)
        ]
        for client in clients:
            client.write(request())
            await client.reader.readuntil(b"\r\n\r\n")
        head = bytes([0x80 | BINARY, 0x80 | 127]) + MIB.to_bytes(8, "big") + bytes(4)
        for client in clients:
            client.write(head + b"y" * (MIB - 100_000))
        await until(lambda: held(gateway), "clients are held in the middle of their message")

        async def finish(client: Any) -> bytes:
            client.write(b"y" * 100_000)
            echoed: bytes = await client.reader.readexactly(10 + MIB)
            return echoed[10:]

        for echoed in await asyncio.gather(*map(finish, clients)):
            assert echoed == b"y" * MIB
        await until(lambda: not held(gateway), "all are read again")


async def test_replies_for_clients_that_do_not_read_stay_within_the_limit(
    start_gateway: StartGateway, start_server: StartServer
) -> None:
    async def serve_one(connection: ServerConnection) -> None:
        for number in range(12):
            await connection.send(bytes([number]) * MIB)
        await connection.wait_closed()

    limits = {**LIMITS, "write-high-water": "64MiB"}  # so that no other limit applies
    gateway = await start_gateway(await start_server(serve_one), limits=limits, failover=PATIENT)
    async with AsyncExitStack() as stack:
        clients = await connected(stack, gateway, 6)
        for client in clients:
            client.transport.pause_reading()
        await until(lambda: gateway.count("memory_holds"), "clients are held")
        most = 0
        for _ in range(20):
            await asyncio.sleep(0.05)
            sessions = list(gateway.gateway.sessions)
            most = max(most, sum(session.held_bytes for session in sessions))
        assert most < 3 * 8 * MIB  # of 72
        for client in clients:
            client.transport.resume_reading()
        for client in clients:
            got = [(await client.recv())[0] for _ in range(12)]
            assert got == list(range(12))
        await until(lambda: not held(gateway), "all are read again")


@pytest.mark.parametrize("path", ["/", "/other"])
async def test_handshakes_waiting_for_their_backend_count(
    start_gateway: StartGateway, start_raw: StartRaw, path: str
) -> None:
    async def act(peer: RawPeer) -> None:
        await peer.until_gone()

    backend = await start_raw(act, path)
    limits = {"memory": "1MiB"}
    gateway = await start_gateway(backend.entry(), limits=limits, failover={"hedge-after": 0})
    async with AsyncExitStack() as stack:
        for _ in range(8):
            client = await stack.enter_async_context(raw_client(gateway.host, gateway.port))
            client.write(request(f"X-Long: {'x' * 50_000}", target=path))
        await until(lambda: gateway.count("refused_memory"), "one was too many")
        client = await stack.enter_async_context(raw_client(gateway.host, gateway.port))
        client.write(request(target=path))
        answer = await client.reader.read()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: " in answer


async def test_buffers_of_an_ended_session_count_until_its_client_is_gone(
    start_gateway: StartGateway, start_server: StartServer
) -> None:
    async def serve_one(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send(bytes(MIB))

    async def counted() -> float:
        for line in (await gateway.gateway.exposition.text()).splitlines():
            if line.startswith(b"wsgw_memory_bytes "):
                return float(line.split()[1])
        raise AssertionError("no such metric")

    limits = {"memory": "64MiB", "close-timeout": "2m"}
    gateway = await start_gateway(await start_server(serve_one), limits=limits)
    async with raw_client(gateway.host, gateway.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it reads, too
        client.write(request())
        await until(lambda: any(each.client_is_slow for each in gateway.gateway.sessions))
        (session,) = gateway.gateway.sessions
        session.close(1008)
        assert not len(gateway.gateway.sessions)
        async with asyncio.timeout(60):
            while await counted() < 64 * 1024:  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.01)
        client.writer.transport.abort()
        async with asyncio.timeout(60):
            while await counted():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
