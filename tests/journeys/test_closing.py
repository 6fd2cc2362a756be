"""Closing: by which side, with which close code, and what the other side receives."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, WSMsgType
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartBackend, StartGateway
from .eventually import until
from .raw_client import raw_websocket
from .scripted_backend import ScriptedBackend

LONGEST_REASON = "ü" * 61 + "x"  # 123 bytes


async def all_of(connection: Connection) -> list[str | bytes]:
    """Return all messages until the connection is closed."""
    received: list[str | bytes] = []
    try:
        while True:
            received.append(await connection.recv())
    except ConnectionClosed:
        return received


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, ""),
        (1000, "done"),
        (1001, "tab closed"),
        (1003, "no"),
        (1008, "no"),
        (1011, "client's own fault"),
        (3000, LONGEST_REASON),
        (3999, ""),
        (4000, "app"),
        (4999, "\N{SNOWMAN}"),
    ],
)
async def test_backend_receives_close_code_and_reason_of_the_client(
    gateway: RunningGateway, backend: ScriptedBackend, code: int, reason: str
) -> None:
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.close(code, reason)
        await served.wait_closed()

    assert (served.close_code, served.close_reason) == (code, reason)
    assert client.close_code == code
    assert gateway.count("failovers") == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, ""),
        (1000, "done"),
        (1002, "no"),
        (1003, "no"),
        (1007, "no"),
        (1008, "policy"),
        (1009, "no"),
        (1010, "no"),
        (3000, LONGEST_REASON),
        (4000, "app"),
        (4999, ""),
    ],
)
async def test_client_receives_close_code_and_reason_of_the_backend(
    gateway: RunningGateway, backend: ScriptedBackend, code: int, reason: str
) -> None:
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await served.send("last words")
        await served.close(code, reason)
        assert await client.recv() == "last words"
        with pytest.raises(ConnectionClosed):
            await client.recv()

    assert (client.close_code, client.close_reason) == (code, reason)
    assert served.close_code == code
    assert gateway.count("failovers") == 0


async def test_empty_close_of_the_client_reaches_the_backend_empty(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with raw_websocket(gateway.url) as client:
        served = await backend.connection()
        client.protocol.send_close()
        [answer] = await client.flush().frames(1)
        await served.wait_closed()

    assert (answer.opcode, bytes(answer.data)) == (Opcode.CLOSE, b"")
    assert served.close_code == 1005  # 1006 would mean no close frame


async def test_empty_close_of_the_backend_reaches_the_client_empty(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backends = [await start_backend() for _ in range(2)]
    gateway = await start_gateway(*backends)
    async with connect(gateway.url) as client:
        served = await backends[0].connection()
        await client.send("request")
        assert await served.recv() == "request"
        await served.send("answer")
        served.protocol.send_close()
        served.transport.writelines(served.protocol.data_to_send())
        assert await all_of(client) == ["answer"]
        await served.wait_closed()

    assert client.close_code == 1005
    assert served.close_code == 1005
    assert [each.accepted for each in backends] == [1, 0]
    assert gateway.count("failovers") == 0


async def test_backend_receives_1001_when_the_client_is_lost(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with raw_websocket(gateway.url) as client:
        served = await backend.connection()
        client.client.vanish()
        await served.wait_closed()

    assert served.close_code == 1001


async def test_client_can_close_while_the_backend_is_sending(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with connect(gateway.url) as client:
        served = await backend.connection()

        async def send_for_ever() -> None:
            while True:
                await served.send("x" * 1000)

        sending = asyncio.create_task(send_for_ever())
        await client.recv()
        receiving = asyncio.create_task(all_of(client))
        await client.close(1000)
        with pytest.raises(ConnectionClosed):
            await sending
        await receiving

    assert served.close_code == 1000
    assert gateway.count("failovers") == 0


async def test_messages_sent_before_the_close_are_delivered(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with connect(gateway.url) as client:
        served = await backend.connection()
        for number in range(500):
            await client.send(str(number))
        await client.close(4001, "that was all")
        received = await all_of(served)

    assert received == [str(number) for number in range(500)]
    assert (served.close_code, served.close_reason) == (4001, "that was all")
    assert gateway.count("undelivered_messages") == 0


async def test_aiohttp_client_receives_the_close_of_the_backend(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with ClientSession() as session, session.ws_connect(gateway.url) as client:
        served = await backend.connection()
        await served.close(4100, "over")
        message = await client.receive()

    assert message.type is WSMsgType.CLOSE
    assert (message.data, message.extra) == (4100, "over")


async def test_without_failover_a_lost_backend_closes_the_client_with_1012(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, failover={"enabled": False})
    async with connect(gateway.url) as restarted, connect(gateway.url) as lost:
        await (await backend.connection()).close(1012, "restarting")
        with pytest.raises(ConnectionClosed):
            await restarted.recv()
        (await backend.connection()).transport.abort()
        with pytest.raises(ConnectionClosed):
            await lost.recv()

    assert (restarted.close_code, restarted.close_reason) == (1012, "restarting")
    assert lost.close_code == 1012


async def test_session_ends_when_the_backend_does_not_answer_the_close(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, limits={"close-timeout": "100ms"})
    async with connect(gateway.url) as client:
        served = await backend.connection()
        served.transport.pause_reading()
        await client.close()
        assert client.close_code == 1000

    await until(lambda: not len(gateway.gateway.sessions))
    assert gateway.count("failovers") == 0


async def test_client_that_does_not_answer_the_close_is_dropped(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, limits={"close-timeout": "100ms"})
    async with raw_websocket(gateway.url) as client:
        served = await backend.connection()
        await served.close(4000)
        assert (await client.client.reader.read(4))[:1] == b"\x88"
        with_the_rest = await client.client.reader.read()

    assert with_the_rest == b""


async def test_stopping_gateway_closes_clients_with_1012_and_backends_with_1001(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backend = await start_backend()
    gateway = await start_gateway(backend)
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send("before the end")
        assert await served.recv() == "before the end"
        await gateway.gateway.stop()
        await served.wait_closed()
        await client.wait_closed()

    assert client.close_code == 1012
    assert served.close_code == 1001
