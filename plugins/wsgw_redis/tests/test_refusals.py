"""Replies that a real server does not send at will, and servers of other protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import hiredis
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from wsgw_redis.refusal import Refusal

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .redis_server import TIMEOUT

Answer = Callable[[bytes], bytes | None]
GOOD = {b"XADD": b"$3\r\n1-1\r\n", b"XTRIM": b":0\r\n", b"XREAD": None}


def gateway_to(port: int, **keys: Any) -> AbstractAsyncContextManager[RunningGateway]:
    backend = {"id": "queue", "url": f"redis://127.0.0.1:{port}", **keys}
    return running_gateway({"upstream": {"backends": [backend]}})


@asynccontextmanager
async def scripted(answer: Answer, opened: set[object] | None = None) -> AsyncIterator[int]:
    """Runs a server that answers commands by their names; None: no answer.

    Args:
        answer: returns the reply to a command.
        opened: gets an object for each open connection.
    """
    connections = set() if opened is None else opened

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        connections.add(writer)
        try:
            while data := await reader.read(65536):
                parser.feed(data)
                while command := parser.gets():
                    if (said := answer(command[0].upper())) is not None:
                        writer.write(said)
        except OSError:
            pass
        finally:
            connections.discard(writer)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("error", "is_told"),
    [
        ("LOADING Redis is loading the dataset in memory", False),
        ("MISCONF Redis is configured to save RDB snapshots", False),
        ("BUSY Redis is busy running a script", False),
        ("MASTERDOWN Link with MASTER is down", False),
        ("CLUSTERDOWN Hash slot not served", False),
        ("TRYAGAIN Multiple keys request during rehashing of slot", False),
        ("UNBLOCKED force unblock from blocking operation", False),
        ("MOVED 3999 127.0.0.1:6381", True),
        ("NOAUTH Authentication required.", True),
        ("ERR unknown command 'XADD', with args beginning with: 'secret-value'", True),
    ],
)
async def test_clients_are_refused_until_write_succeeds(
    error: str, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    is_broken = True

    def answer(command: bytes) -> bytes | None:
        if command == b"XADD" and is_broken:
            return f"-{error}\r\n".encode()
        return GOOD.get(command, b"+OK\r\n")

    async with scripted(answer) as port, gateway_to(port) as gateway:
        for _ in range(2):
            with pytest.raises(InvalidStatus, match="502"):
                await connect(gateway.url)
        told = [each.getMessage() for each in caplog.records if "refuses XADD" in each.message]
        assert len(told) == is_told
        assert "secret-value" not in caplog.text
        assert ("this is a cluster" in caplog.text) == error.startswith("MOVED")
        is_broken = False
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    async with connect(gateway.url):
                        break
                except InvalidStatus:
                    await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff", b"*-7\r\n", None]
)
async def test_server_of_other_protocol_is_unavailable(said: bytes | None) -> None:
    async with (
        scripted(lambda _: said) as port,
        gateway_to(port, **{"connect-timeout": "300ms"}) as gateway,
    ):
        with pytest.raises(InvalidStatus, match="502"):
            await connect(gateway.url)


async def test_dial_timeout_leaves_no_connection() -> None:
    def answer(command: bytes) -> bytes | None:
        return None if command == b"XGROUP" else GOOD.get(command, b"+OK\r\n")

    opened: set[object] = set()
    keys = {"connect-timeout": "200ms", "command-timeout": "1h"}
    async with scripted(answer, opened) as port, gateway_to(port, **keys) as gateway:
        for _ in range(2):
            with pytest.raises(InvalidStatus, match="502"):
                await connect(gateway.url)
        async with asyncio.timeout(TIMEOUT):
            while len(opened) > 1:  # noqa: ASYNC110 - no event to await; one connection is the reader's
                await asyncio.sleep(0.01)


async def test_unsolicited_replies_end_the_connection() -> None:
    def answer(command: bytes) -> bytes | None:
        more = b"+more\r\n" if command == b"XTRIM" else b""
        good = GOOD.get(command, b"+OK\r\n")
        return None if good is None else good + more

    async with scripted(answer) as port, gateway_to(port) as gateway:
        with pytest.raises(InvalidStatus, match="502"):
            await connect(gateway.url)


def test_refusal_shows_no_values() -> None:
    refusal = Refusal("ERR unknown command 'A', with args beginning with: 'secret'\nsecond line")
    assert (refusal.word, refusal.reason) == ("ERR", "Redis: ERR unknown command 'A'")
    assert Refusal("something odd").word == "ERR"
    assert Refusal("WRONGTYPE Operation").is_of_one_key
    assert not Refusal("OOM command not allowed").is_of_one_key
