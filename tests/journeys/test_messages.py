"""Messages of every kind and size, in both directions, between independent libraries."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, WSMsgType, web
from aiohttp.test_utils import TestServer
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartGateway
from .raw_client import raw_websocket
from .scripted_backend import ScriptedBackend

MIB = 1024 * 1024
MESSAGES: dict[str, str | bytes] = {
    "empty text": "",
    "empty binary": b"",
    "text": "hello",
    "binary": b"\x00\xff",
    "several scripts": "grüße \N{SNOWMAN} \N{MUSICAL SYMBOL G CLEF} שלום",
    "nul": "\x00",
    "125 bytes": b"a" * 125,
    "126 bytes": b"a" * 126,
    "65535 bytes": b"a" * 65535,
    "65536 bytes": b"a" * 65536,
    "1 MiB of text": "x" * MIB,
    "1 MiB of noise": os.urandom(MIB),
}


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    """Run a backend written with aiohttp and return its URL."""

    async def answer(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=2 * MIB, compress=False)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket

    application = web.Application()
    application.router.add_get("/{rest:.*}", answer)
    async with TestServer(application, host="127.0.0.1") as server:
        yield f"ws://127.0.0.1:{server.port}"


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
async def test_message_arrives_unchanged_in_both_directions(
    gateway: RunningGateway, backend: ScriptedBackend, message: str | bytes
) -> None:
    async with connect(gateway.url, compression=None) as client:
        served = await backend.connection()
        await client.send(message)
        assert await served.recv() == message
        await served.send(message)
        assert await client.recv() == message


async def test_messages_pass_between_aiohttp_client_and_aiohttp_backend(
    echo: str, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(echo)

    async with (
        ClientSession() as session,
        session.ws_connect(gateway.url, max_msg_size=2 * MIB) as client,
    ):
        for message in MESSAGES.values():
            if isinstance(message, str):
                await client.send_str(message)
                assert await client.receive_str() == message
            else:
                await client.send_bytes(message)
                assert await client.receive_bytes() == message


async def test_many_messages_keep_their_order_and_kinds(
    echo: str, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(echo)
    messages = [str(n) if n % 3 else str(n).encode() * (n % 50) for n in range(3000)]

    async def send() -> None:
        for message in messages:
            await client.send(message)

    async with connect(gateway.url) as client:
        sending = asyncio.create_task(send())
        received = [await client.recv() for _ in messages]
        await sending

    assert received == messages


async def test_fragments_of_a_client_arrive_as_one_message(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send(["one ", "", "two ", "three"])
        assert await served.recv() == "one two three"
        await client.send([b"\x00", b"\x01" * 70_000, b""])
        assert await served.recv() == b"\x00" + b"\x01" * 70_000


async def test_fragments_of_a_backend_arrive_as_one_message(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await served.send(["one ", "two"])
        assert await client.recv() == "one two"


async def test_character_split_between_fragments_arrives_intact(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    text = "\N{MUSICAL SYMBOL G CLEF}ä\N{SNOWMAN}"
    async with raw_websocket(gateway.url) as client:
        served = await backend.connection()
        first, *rest = [bytes([byte]) for byte in text.encode()]
        client.protocol.send_text(first, fin=False)
        for number, part in enumerate(rest, 1):
            client.protocol.send_continuation(part, fin=number == len(rest))
            client.flush()
            await asyncio.sleep(0)
        assert await served.recv() == text


async def test_ping_between_fragments_is_answered_at_once(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with raw_websocket(gateway.url) as client:
        served = await backend.connection()
        client.protocol.send_binary(b"one ", fin=False)
        client.protocol.send_ping(b"there?")
        [pong] = await client.flush().frames(1)
        assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, b"there?")
        client.protocol.send_continuation(b"two", fin=True)
        client.flush()
        assert await served.recv() == b"one two"


async def test_pings_are_answered_on_the_clients_leg(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with connect(gateway.url) as client:
        served = await backend.connection()
        for _ in range(3):
            await (await client.ping())
        await client.send("x")
        assert await served.recv() == "x"


async def test_pings_are_answered_on_the_backends_leg(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with connect(gateway.url):
        served = await backend.connection()
        for _ in range(3):
            await (await served.ping())


async def test_unsolicited_pong_is_ignored(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.pong(b"no one asked")
        await served.pong(b"nor here")
        await client.send("x")
        assert await served.recv() == "x"
        await served.send("y")
        assert await client.recv() == "y"


@pytest.mark.parametrize("fragments", [1, 3])
async def test_oversized_client_message_ends_the_session_with_1009(
    start_gateway: StartGateway, backend: ScriptedBackend, fragments: int
) -> None:
    gateway = await start_gateway(backend, limits={"max-message-size": "10KiB"})
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send(b"x" * 10 * 1024)
        assert len(await served.recv()) == 10 * 1024

        part = b"x" * (10 * 1024 // fragments + 1)
        await client.send(part if fragments == 1 else [part] * fragments)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        await served.wait_closed()

    assert client.close_code == 1009
    assert served.close_code == 1001
    assert gateway.count("failovers") == 0


async def test_oversized_backend_message_ends_the_session_without_failover(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    """Another backend would send the same message again."""
    gateway = await start_gateway(backend, limits={"max-message-size": "10KiB"})
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await served.send(b"x" * 10 * 1024)
        assert len(await client.recv()) == 10 * 1024

        await served.send([b"x" * 6 * 1024] * 2)
        await served.wait_closed()
        with pytest.raises(ConnectionClosed):
            await client.recv()

    assert served.close_code == 1009
    assert client.close_code == 1011
    assert "limits.max-message-size (10240 bytes)" in (client.close_reason or "")
    assert backend.accepted == 1
    assert gateway.count("failovers") == 0
    assert gateway.count("ws_messages_too_big") == gateway.count("ws_violations") == 1


async def test_oversized_client_message_does_not_reach_the_backend(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, limits={"max-message-size": "10KiB"})
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send(b"x" * 10 * 1024 + b"x")
        with pytest.raises(ConnectionClosed):
            await served.recv()


async def test_text_that_is_not_utf8_ends_the_session_with_1007(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with raw_websocket(gateway.url) as client:
        served = await backend.connection()
        client.protocol.send_text(b"\xff")
        [close] = await client.flush().frames(1)
        await served.wait_closed()

    assert close.opcode is Opcode.CLOSE
    assert int.from_bytes(close.data[:2], "big") == 1007
    assert served.close_code == 1001


@pytest.mark.parametrize(
    "frame",
    [
        bytes.fromhex("8201aa"),
        bytes.fromhex("c28000000000"),
        bytes.fromhex("808000000000"),
        bytes.fromhex("838000000000"),
        bytes.fromhex("8bfe007e00000000") + bytes(126),
    ],
    ids=["not masked", "reserved bit", "continues nothing", "unknown opcode", "long pong"],
)
async def test_client_that_violates_the_protocol_is_closed_with_1002(
    gateway: RunningGateway, backend: ScriptedBackend, frame: bytes
) -> None:
    async with raw_websocket(gateway.url) as client:
        served = await backend.connection()
        client.client.write(frame)
        [close] = await client.frames(1)
        await served.wait_closed()

    assert close.opcode is Opcode.CLOSE
    assert int.from_bytes(close.data[:2], "big") == 1002
    assert served.close_code == 1001
    assert gateway.count("client_violations") == 1
