"""The proxy forwards, freezes, and cuts connections."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from wsgw_core.testing.broker_proxy import BrokerProxy

LARGE = 1 << 21


class Server:
    """A server that echoes in upper case, and records what it has read."""

    def __init__(self) -> None:
        self.read = b""
        self.connections = 0
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while data := await reader.read(65536):
                self.read += data
                writer.write(data.upper())
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.ended.set()
            writer.close()


@asynccontextmanager
async def proxied(behind: Server) -> AsyncIterator[BrokerProxy]:
    server = await asyncio.start_server(behind.serve, "127.0.0.1", 0)
    proxy = BrokerProxy("127.0.0.1", server.sockets[0].getsockname()[1])
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
        server.close()


async def connected(proxy: BrokerProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"HELLO"
    return reader, writer


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop])
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    def run(scenario: Callable[..., object]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20), proxied(behind := Server()) as proxy:
                await scenario(proxy, behind)  # type: ignore[misc]  # a coroutine function

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return run


def test_bytes_are_forwarded_in_both_directions(run: Callable[..., None]) -> None:
    async def scenario(proxy: BrokerProxy, _behind: Server) -> None:
        reader, writer = await connected(proxy)
        writer.write(b"a" * LARGE)
        assert await reader.readexactly(LARGE) == b"A" * LARGE
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()

    run(scenario)


def test_the_server_learns_of_a_reset(run: Callable[..., None]) -> None:
    async def scenario(proxy: BrokerProxy, behind: Server) -> None:
        client = socket.create_connection(("127.0.0.1", proxy.port))
        client.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(client, b"hello")
        assert await asyncio.get_running_loop().sock_recv(client, 5) == b"HELLO"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        await behind.ended.wait()

    run(scenario)


def test_bytes_sent_while_frozen_arrive_after_the_thaw(run: Callable[..., None]) -> None:
    async def scenario(proxy: BrokerProxy, behind: Server) -> None:
        reader, writer = await connected(proxy)
        proxy.freeze()
        writer.write(b"later")
        await asyncio.sleep(0.05)  # room for what must not happen
        assert behind.read == b"hello"
        proxy.thaw()
        assert await reader.readexactly(5) == b"LATER"
        writer.close()

    run(scenario)


def test_bytes_sent_while_frozen_are_lost_with_a_cut(run: Callable[..., None]) -> None:
    async def scenario(proxy: BrokerProxy, behind: Server) -> None:
        reader, writer = await connected(proxy)
        proxy.freeze()
        writer.write(b"lost")
        await writer.drain()
        await proxy.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        proxy.thaw()
        writer.close()

        other_reader, other = await connected(proxy)
        other.write(b"new")
        assert await other_reader.readexactly(3) == b"NEW"
        assert behind.read == b"hellohellonew"
        assert behind.connections == 2
        other.close()

    run(scenario)


def test_an_unreachable_server_ends_the_connection(run: Callable[..., None]) -> None:
    async def scenario(_proxy: BrokerProxy, _behind: Server) -> None:
        alone = BrokerProxy("127.0.0.1", 1)
        await alone.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", alone.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        await alone.stop()

    run(scenario)


def test_the_port_is_known_only_after_the_start() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        assert BrokerProxy("127.0.0.1", 1).port
