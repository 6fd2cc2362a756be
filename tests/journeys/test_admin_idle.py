"""Connections on which nothing is asked, or no end is seen, keep nobody from asking."""

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
        """Send half of a request, the other half of which is waited for."""
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
        """Wait for the end."""
        try:
            return await self._reader.read() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def slow_readers(operator: Operator, count: int) -> AsyncIterator[None]:
    """Ask for much so many times, and read none of it."""
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


async def test_a_probe_is_answered_while_others_say_nothing(
    operator: Operator, gateway: RunningGateway
) -> None:
    async with callers(operator, MOST) as silent:
        await silent[1].say(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert b"alive" in await silent[2].probe()
        async with callers(operator, 1) as (prober,):
            assert b"alive" in await prober.probe()
            assert await silent[0].gone()  # the longest of all
            assert b"alive" in await prober.probe()
            assert b"alive" in await silent[2].probe()
            await silent[1].say(b"alhost\r\n\r\n")
            assert b"alive" in await silent[1].answer()
    assert gateway.count("admin_connections_dropped") == 1


async def test_who_was_answered_last_stays_longest(operator: Operator) -> None:
    async with callers(operator, MOST) as silent:
        for each in reversed(silent):
            await each.probe()
        async with callers(operator, 1) as (prober,):
            assert b"alive" in await prober.probe()
            assert await silent[-1].gone()
            for each in silent[:-1]:
                assert b"alive" in await each.probe()


async def test_a_crowd_that_says_nothing_keeps_no_probe_waiting(operator: Operator) -> None:
    async with callers(operator, 20 * MOST), callers(operator, 1) as (prober,):
        assert b"alive" in await prober.probe()
        for _ in range(20):
            assert (await operator.call("GET", "/readyz")).status == 200


async def test_whose_request_is_being_answered_is_not_dropped(operator: Operator) -> None:
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


async def test_who_finds_all_others_being_answered_takes_the_place_of_the_longest(
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


async def test_who_reads_no_answer_makes_room_too(operator: Operator) -> None:
    async with slow_readers(operator, MOST), callers(operator, 1) as (late,):
        for _ in range(3):
            assert b"alive" in await late.probe()


async def test_over_tls_too(
    gateway: RunningGateway, start_admin: StartAdmin, tls_files: TlsFiles
) -> None:
    tls = {"certificate": str(tls_files.certificate)}
    operator = await start_admin(gateway, context=TRUSTING, tls=tls, **PATIENT)
    async with callers(operator, MOST) as without, callers(operator, 1, TRUSTING) as (prober,):
        assert b"alive" in await prober.probe()
        assert await without[0].gone()


async def answered_in_three_tries(operator: Operator, request: bytes) -> bytes:
    """Ask as whatever probes does: on a new connection each time, and again after a failure."""
    for _ in range(3):
        with suppress(OSError, asyncio.IncompleteReadError):
            async with callers(operator, 1) as (prober,):
                await prober.say(request)
                return await prober.answer()
    return b""


async def test_a_flood_of_requests_without_end_keeps_no_probe_waiting(
    gateway: RunningGateway, start_admin: StartAdmin
) -> None:
    operator = await start_admin(gateway, read_timeout=1000, write_timeout=1000)

    async def read_nothing() -> None:
        while True:
            with suppress(OSError):
                async with slow_readers(operator, 1):
                    await asyncio.sleep(0.5)

    async def say_no_end() -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                async with callers(operator, 1) as (caller,):
                    await caller.begin()
                    await caller.gone()

    kinds = [read_nothing] * 16 + [say_no_end] * 80
    flood = [asyncio.create_task(each()) for each in kinds]
    try:
        await until(lambda: gateway.count("admin_connections_dropped") > 64)
        for request in (PROBE, PROBE.replace(b"healthz", b"readyz"), METRICS) * 3:
            assert await answered_in_three_tries(operator, request)
    finally:
        for each in flood:
            each.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
