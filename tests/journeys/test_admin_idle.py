"""Idle or unfinished connections do not block other callers of the admin API."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

from wsgw_core.testing.running_gateway import RunningGateway

from .admin_operator import Operator
from .conftest import StartAdmin
from .eventually import until
from .tls_ends import TRUSTING, TlsFiles

MOST = 4
PATIENT: dict[str, Any] = {"max_connections": MOST, "read_timeout": 1000, "write_timeout": 1000}
PROBE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = (
    b"POST /backend/add HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    b"Content-Length: 2\r\n\r\n"
)


class Caller:
    """A connection to the admin API, raw."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def begin(self) -> None:
        """Send half of a request, so that the API waits for the rest."""
        await self.say(HEAD)
        assert b" 100 " in await self._reader.readuntil(b"\r\n\r\n")
        await self.say(b"{")

    async def answer(self) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return await self._reader.readexactly(length)

    async def probe(self) -> bytes:
        await self.say(PROBE)
        return await self.answer()

    async def gone(self) -> bool:
        """Wait until the connection is closed."""
        try:
            return await self._reader.read() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def slow_readers(operator: Operator, count: int) -> AsyncIterator[None]:
    """Open so many connections that request large answers and read none of them."""
    async with AsyncExitStack() as made:
        for _ in range(count):
            connection = made.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, ("127.0.0.1", operator.port))
            await loop.sock_sendall(connection, METRICS * 1000)
        yield


@pytest.fixture
async def operator(gateway: RunningGateway, start_admin: StartAdmin) -> Operator:
    return await start_admin(gateway, **PATIENT)


@asynccontextmanager
async def callers(
    operator: Operator, count: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[list[Caller]]:
    """Connect so many times, one after the other."""
    async with AsyncExitStack() as made:
        callers = []
        for _ in range(count):
            caller = Caller(*await asyncio.open_connection("127.0.0.1", operator.port, ssl=tls))
            made.callback(caller.close)
            callers.append(caller)
        yield callers


async def test_probe_is_answered_when_all_connections_are_silent(
    operator: Operator, gateway: RunningGateway
) -> None:
    async with callers(operator, MOST) as silent:
        await silent[1].say(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert b"alive" in await silent[2].probe()
        async with callers(operator, 1) as (prober,):
            assert b"alive" in await prober.probe()
            assert await silent[0].gone()  # it has been idle longest
            assert b"alive" in await prober.probe()
            assert b"alive" in await silent[2].probe()
            await silent[1].say(b"alhost\r\n\r\n")
            assert b"alive" in await silent[1].answer()
    assert gateway.count("admin_connections_dropped") == 1


async def test_most_recently_answered_connection_is_evicted_last(operator: Operator) -> None:
    async with callers(operator, MOST) as silent:
        for each in reversed(silent):
            await each.probe()
        async with callers(operator, 1) as (prober,):
            assert b"alive" in await prober.probe()
            assert await silent[-1].gone()
            for each in silent[:-1]:
                assert b"alive" in await each.probe()


async def test_many_silent_connections_do_not_delay_a_probe(operator: Operator) -> None:
    async with callers(operator, 20 * MOST), callers(operator, 1) as (prober,):
        assert b"alive" in await prober.probe()
        for _ in range(20):
            assert (await operator.call("GET", "/readyz")).status == 200


async def test_connection_with_a_request_in_progress_is_not_evicted(operator: Operator) -> None:
    async with callers(operator, MOST // 2 - 1) as busy:
        for each in busy:
            await each.begin()
        async with callers(operator, 1) as (first,):
            assert b"alive" in await first.probe()
            async with callers(operator, 3 * MOST) as silent:
                assert await first.gone()
                assert b"alive" in await silent[-1].probe()
                for each in silent[:-MOST]:
                    assert await each.gone()
        for each in busy:
            await each.say(b"}")
            assert b"no url" in await each.answer()


async def test_oldest_connection_is_evicted_when_all_are_busy(
    operator: Operator, gateway: RunningGateway
) -> None:
    async with callers(operator, MOST) as busy:
        for each in busy:
            await each.begin()
        async with callers(operator, 1) as (late,):
            assert b"alive" in await late.probe()
            assert await busy[0].gone()
            assert b"alive" in await late.probe()
            assert gateway.count("admin_connections_dropped") == 1
            for each in busy[1:]:
                await each.say(b"}")
                assert b"no url" in await each.answer()


async def test_connection_that_reads_no_answer_is_evicted(operator: Operator) -> None:
    async with slow_readers(operator, MOST), callers(operator, 1) as (late,):
        for _ in range(3):
            assert b"alive" in await late.probe()


async def test_connection_without_tls_handshake_is_evicted(
    gateway: RunningGateway, start_admin: StartAdmin, tls_files: TlsFiles
) -> None:
    tls = {"certificate": str(tls_files.certificate)}
    operator = await start_admin(gateway, context=TRUSTING, tls=tls, **PATIENT)
    async with callers(operator, MOST) as without, callers(operator, 1, TRUSTING) as (prober,):
        assert b"alive" in await prober.probe()
        assert await without[0].gone()


async def probe_with_three_attempts(operator: Operator, request: bytes) -> bytes:
    """Probe on a new connection, with up to three attempts."""
    for _ in range(3):
        with suppress(OSError, asyncio.IncompleteReadError):
            async with callers(operator, 1) as (prober,):
                await prober.say(request)
                return await prober.answer()
    return b""


async def test_flood_of_unfinished_requests_does_not_block_a_probe(
    gateway: RunningGateway, start_admin: StartAdmin
) -> None:
    operator = await start_admin(gateway, read_timeout=1000, write_timeout=1000)

    async def read_nothing() -> None:
        while True:
            with suppress(OSError):
                async with slow_readers(operator, 1):
                    await asyncio.sleep(0.5)

    async def never_finish() -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                async with callers(operator, 1) as (caller,):
                    await caller.begin()
                    await caller.gone()

    kinds = [read_nothing] * 16 + [never_finish] * 80
    flood = [asyncio.create_task(each()) for each in kinds]
    try:
        await until(lambda: gateway.count("admin_connections_dropped") > 64)
        for request in (PROBE, PROBE.replace(b"healthz", b"readyz"), METRICS) * 3:
            assert await probe_with_three_attempts(operator, request)
    finally:
        for each in flood:
            each.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
