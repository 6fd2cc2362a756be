"""The proxy forwards, stalls, and drops connections in mid-message."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from wsgw_drill.tcp_proxy import TcpProxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
LARGE = 1 << 20


class Behind:
    """A server that keeps its connections."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Streams] = asyncio.Queue()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.accepted.put((reader, writer))


@asynccontextmanager
async def pair(behind: Behind, proxy: TcpProxy) -> AsyncIterator[tuple[Streams, Streams]]:
    """Connects through the proxy, and yields both ends."""
    server = await asyncio.start_server(behind.accept, "127.0.0.1", 0)
    proxy.target = server.sockets[0].getsockname()
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    await proxy.listen("127.0.0.1", port)
    front = await asyncio.open_connection("127.0.0.1", port)
    front[1].write(b"hello")
    back = await behind.accepted.get()
    assert await back[0].readexactly(5) == b"hello"
    try:
        yield front, back
    finally:
        proxy.close()
        server.close()
        for _, writer in (front, back):
            writer.transport.abort()


async def test_proxy_forwards_any_amount_both_ways() -> None:
    async with pair(Behind(), TcpProxy()) as ((front, to_back), (back, to_front)):
        to_back.write(b"a" * LARGE)
        to_front.write(b"b" * LARGE)

        assert await back.readexactly(LARGE) == b"a" * LARGE
        assert await front.readexactly(LARGE) == b"b" * LARGE


@pytest.mark.parametrize("which", [0, 1])
async def test_end_of_one_side_ends_other_side(which: int) -> None:
    async with pair(Behind(), TcpProxy()) as ends:
        ends[which][1].write(b"the last")
        ends[which][1].close()

        assert await ends[1 - which][0].read() == b"the last"


async def test_stalled_proxy_keeps_connections_and_forwards_nothing() -> None:
    proxy = TcpProxy()
    behind = Behind()
    async with pair(behind, proxy) as ((front, to_back), (back, to_front)):
        proxy.stall()
        to_back.write(b"a")
        to_front.write(b"b")
        late, to_nobody = await asyncio.open_connection(*to_back.get_extra_info("peername"))
        to_nobody.write(b"c")
        late_back, answering = await behind.accepted.get()
        answering.write(b"d")
        for reader in (front, back, late, late_back):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.05)

        proxy.flow()

        for reader in (front, back, late):
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
        to_nobody.transport.abort()


@pytest.mark.parametrize("which", [0, 1])
async def test_reset_cuts_message_in_the_middle(which: int) -> None:
    proxy = TcpProxy()
    async with pair(Behind(), proxy) as ends:
        proxy.reset_in_mid_message()
        ends[which][1].write(b"0123456789")

        assert await ends[1 - which][0].read(100) == b"01234"
        for reader, _ in ends:
            with pytest.raises(ConnectionResetError):
                await reader.read(100)


async def test_closed_proxy_drops_what_a_side_does_not_read() -> None:
    proxy = TcpProxy()
    async with pair(Behind(), proxy) as ((front, to_back), (_, to_front)):
        unread = cast("asyncio.Transport", to_back.transport)
        unread.pause_reading()
        (connection,) = proxy._connections  # noqa: SLF001 - how much waits in it
        outward = connection._outward  # noqa: SLF001 - see above
        assert outward is not None
        while not outward.get_write_buffer_size():
            to_front.write(b"a" * 4096)
            await asyncio.sleep(0)
        to_front.close()
        while not outward.is_closing():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
        proxy.close()
        unread.resume_reading()

        with pytest.raises(ConnectionResetError):
            await front.read()
        assert not proxy._connections  # noqa: SLF001 - nothing is left


async def test_unreachable_backend_resets_client() -> None:
    proxy = TcpProxy()
    async with pair(Behind(), proxy) as ((_, to_back), _):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            proxy.target = unused.getsockname()
        reader, writer = await asyncio.open_connection(*to_back.get_extra_info("peername"))

        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.transport.abort()
