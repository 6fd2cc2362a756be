"""Clients that are gone or read nothing do not keep their backend's connection open."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from .conftest import StartGateway
from .eventually import until
from .raw_client import request
from .scripted_backend import ScriptedBackend

CHUNK = b"x" * 64 * 1024
OPTIONS: dict[str, Any] = {"compression": None, "ping_interval": None, "close_timeout": 1}


async def write_forever(connection: object) -> None:
    while True:
        await connection.send(CHUNK)  # type: ignore[attr-defined]  # either side's


async def send_all(connection: ServerConnection, messages: list[bytes]) -> None:
    for message in messages:
        await connection.send(message)


async def test_client_that_answers_no_ping_is_dropped_and_its_backend_closed(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    frontend = {"address": "127.0.0.1:0", "ping-time": "200ms", "ping-timeout": "2s"}
    gateway = await start_gateway(backend, server={"frontend": frontend})
    async with connect(gateway.url, **OPTIONS) as lively, connect(gateway.url, **OPTIONS) as gone:
        connections = [await backend.connection(), await backend.connection()]
        gone.transport.pause_reading()  # so that it answers no ping
        await until(lambda: gateway.count("dead_clients_dropped") == 1)
        await until(lambda: len(gateway.gateway.sessions) == 1)
        await asyncio.wait(
            [asyncio.create_task(each.wait_closed()) for each in connections],
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert [each.close_code for each in connections if each.close_code] == [1001]
        gone.transport.abort()
        await (await lively.ping())
        assert lively.close_code is None


async def test_client_that_reads_nothing_is_closed_and_its_messages_delivered(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    limits = {"slow-client-timeout": "1500ms", "close-timeout": "2s"}
    gateway = await start_gateway(backend, limits=limits)
    async with connect(gateway.url, **OPTIONS) as client:
        served = await backend.connection()
        client.transport.pause_reading()
        writing = asyncio.create_task(write_forever(served))
        await until(lambda: any(each.client_is_slow for each in gateway.gateway.sessions))
        await client.send("still heard")
        assert await served.recv() == "still heard"
        await until(lambda: not len(gateway.gateway.sessions))
        await asyncio.gather(writing, return_exceptions=True)
        assert served.close_code == 1001
        client.transport.abort()
    assert gateway.count("slow_clients_closed") == 1
    assert gateway.count("mutual_blocks") == 0
    assert gateway.count("undelivered_messages") == 0


async def test_client_that_reads_slowly_but_steadily_gets_all_messages(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    limits = {"slow-client-timeout": "400ms"}
    gateway = await start_gateway(backend, limits=limits)
    loop, size, received = asyncio.get_running_loop(), 1024 * 1024, 0
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        client.setblocking(False)
        await loop.sock_connect(client, (gateway.host, gateway.port))
        await loop.sock_sendall(client, request().encode())
        served = await backend.connection()
        sending = asyncio.create_task(send_all(served, [b"x" * size] * 4))
        begun, slow_for = loop.time(), 0.0
        while received < 4 * size and loop.time() - begun < 60:
            before = loop.time()
            data = await loop.sock_recv(client, 16 * 1024)
            if not data:
                break
            received += len(data)
            if slow_for < 2.5:  # six times the timeout
                await asyncio.sleep(0.05)
                if any(each.client_is_slow for each in gateway.gateway.sessions):
                    slow_for += loop.time() - before
        await sending
        assert received >= 4 * size
    assert gateway.count("slow_clients_closed") == 0


async def test_disabled_ping_and_slow_client_timeouts_close_no_client(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    frontend = {"address": "127.0.0.1:0", "ping-time": "0", "ping-timeout": "1ms"}
    limits = {"slow-client-timeout": 0, "client-idle-timeout": "2s", "close-timeout": "100ms"}
    gateway = await start_gateway(backend, server={"frontend": frontend}, limits=limits)
    async with connect(gateway.url, **OPTIONS) as client:
        served = await backend.connection()
        client.transport.pause_reading()
        writing = asyncio.create_task(write_forever(served))
        await until(lambda: any(each.client_is_slow for each in gateway.gateway.sessions))
        await until(lambda: not len(gateway.gateway.sessions))
        await asyncio.gather(writing, return_exceptions=True)
        client.transport.abort()
    assert gateway.count("idle_clients_closed") == 1
    assert gateway.count("dead_clients_dropped") == gateway.count("slow_clients_closed") == 0


async def test_mutual_block_of_client_and_backend_is_resolved(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    limits = {"slow-client-timeout": "500ms", "close-timeout": "500ms"}
    gateway = await start_gateway(backend, limits=limits, failover={"ping-timeout": "60s"})
    async with connect(gateway.url, **OPTIONS) as client:
        served = await backend.connection()
        client.transport.pause_reading()
        served.transport.pause_reading()
        writing = [asyncio.create_task(write_forever(each)) for each in (client, served)]
        await until(lambda: gateway.count("mutual_blocks") == 1)
        served.transport.resume_reading()
        await until(lambda: not len(gateway.gateway.sessions))
        client.transport.abort()
        ends = await asyncio.gather(*writing, return_exceptions=True)
        assert all(isinstance(each, ConnectionClosed) for each in ends)
    assert gateway.count("failovers") == 0
