"""Compression on each leg separately, with independent client and server libraries."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .raw_client import raw_websocket
from .scripted_backend import ScriptedBackend

MIB = 1024 * 1024
MESSAGES: list[str | bytes] = [
    "",
    "short",
    "grüße \N{SNOWMAN} " * 1000,
    b"\0" * MIB,
    os.urandom(MIB),
    "the same again",
    "the same again",
]


class Echo:
    """A backend that echoes.

    Attributes:
        url: where it is.
        extensions: `Sec-WebSocket-Extensions` of each handshake answer.
    """

    def __init__(self) -> None:
        self.extensions: list[str | None] = []
        self.url = ""

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.response is not None
        self.extensions.append(connection.response.headers.get("Sec-WebSocket-Extensions"))
        async for message in connection:
            await connection.send(message)


@pytest.fixture(params=["compressing backend", "plain backend"])
async def echo(request: pytest.FixtureRequest) -> AsyncIterator[Echo]:
    backend = Echo()
    compression = "deflate" if request.param == "compressing backend" else None
    async with serve(
        backend.handle, "127.0.0.1", 0, compression=compression, max_size=2 * MIB
    ) as server:
        port = server.sockets[0].getsockname()[1]
        backend.url = f"ws://127.0.0.1:{port}"
        yield backend


def configuration(url: str, *, front: Any, back: Any) -> dict[str, Any]:
    return {
        "server": {"frontend": {"address": "127.0.0.1:0", "compression": front}},
        "upstream": {"backends": [{"url": url, "compression": back}]},
    }


@pytest.mark.parametrize("front", [False, True])
@pytest.mark.parametrize("back", [False, True, {"enabled": True, "no-context-takeover": True}])
async def test_each_combination_of_legs_relays_each_message(
    echo: Echo, *, front: bool, back: Any
) -> None:
    async with (
        running_gateway(configuration(echo.url, front=front, back=back)) as gateway,
        connect(gateway.url, max_size=2 * MIB) as client,
    ):
        assert client.response is not None
        agreed = client.response.headers.get("Sec-WebSocket-Extensions", "")
        assert agreed.startswith("permessage-deflate") == front
        for _ in range(2):
            for message in MESSAGES:
                await client.send(message)
                assert await client.recv() == message
        if not back:
            assert echo.extensions == [None]


async def test_aiohttp_client_is_served_with_compression_on_both_legs(echo: Echo) -> None:
    async with (
        running_gateway(configuration(echo.url, front=True, back=True)) as gateway,
        ClientSession() as session,
        session.ws_connect(gateway.url, compress=15) as client,
    ):
        assert client.compress
        for text in ("hello", "x" * 100_000):
            await client.send_str(text)
            answer = await client.receive()
            assert (answer.type, answer.data) == (WSMsgType.TEXT, text)


@pytest.mark.parametrize(
    "offer",
    [
        {"client_max_window_bits": True},
        {"server_max_window_bits": 9, "client_max_window_bits": 9},
        {"server_no_context_takeover": True, "client_no_context_takeover": True},
        {"client_max_window_bits": None},
    ],
    ids=["open", "small windows", "no context", "client without a choice of windows"],
)
async def test_compression_parameters_of_the_client_are_supported(
    echo: Echo, offer: dict[str, Any]
) -> None:
    async with (
        running_gateway(configuration(echo.url, front=True, back=False)) as gateway,
        connect(
            gateway.url, compression=None, extensions=[ClientPerMessageDeflateFactory(**offer)]
        ) as client,
    ):
        assert client.protocol.extensions
        for text in ("y" * 10_000, "z" * 70, "y" * 10_000):
            await client.send(text)
            assert await client.recv() == text


async def test_backend_that_requires_small_windows_is_served() -> None:
    backend = Echo()
    small = ServerPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9)
    async with serve(
        backend.handle, "127.0.0.1", 0, compression=None, extensions=[small]
    ) as server:
        port = server.sockets[0].getsockname()[1]
        data = configuration(f"ws://127.0.0.1:{port}", front=False, back=True)
        async with running_gateway(data) as gateway, connect(gateway.url) as client:
            for text in ("y" * 10_000, "z" * 70, "y" * 10_000):
                await client.send(text)
                assert await client.recv() == text
    assert "max_window_bits=9" in (backend.extensions[0] or "")


@pytest.mark.parametrize("over", [0, 1, 2, 20 * MIB])
async def test_message_size_limit_applies_after_decompression(echo: Echo, over: int) -> None:
    """A bomb of 20 MiB takes 20 kB on the wire."""
    async with (
        running_gateway(configuration(echo.url, front=True, back=True)) as gateway,
        connect(gateway.url, max_size=2 * MIB) as client,
    ):
        message = b"\0" * (MIB + over)
        await client.send(message)
        if not over:
            assert await client.recv() == message
            return
        with pytest.raises(ConnectionClosedError) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009
        assert gateway.count("messages_too_big") == 1


async def test_too_many_fragments_end_the_session_with_1008(echo: Echo) -> None:
    data = configuration(echo.url, front=True, back=False)
    data["limits"] = {"max-fragments": 10}
    async with running_gateway(data) as gateway, connect(gateway.url) as client:
        await client.send(["a"] * 9)  # the library adds an empty last fragment
        assert await client.recv() == "a" * 9
        await client.send(["a"] * 10)
        with pytest.raises(ConnectionClosedError) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1008
        assert gateway.count("messages_too_fragmented") == 1


async def test_compressed_frame_without_negotiation_is_refused_with_1002(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with asyncio.timeout(20), raw_websocket(gateway.url) as socket:
        await backend.connection()
        socket.client.write(b"\xc1\x85\0\0\0\0hello")
        (frame,) = await socket.frames(1)
        assert frame.data[:2] == (1002).to_bytes(2, "big")
