"""What the timeouts see of a client: its frames, its pongs and its silence."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from wsgw_core.config.address import Address
from wsgw_core.frontend.client_socket import ClientSocket
from wsgw_core.frontend.client_timeouts import ClientTimeouts
from wsgw_core.frontend.frontend_server import FrontendServer

from ..websocket.raw_frames import PING, PONG, TEXT, frame
from .frontend_bench import TIMEOUT, FrontendBench, RawClient, request


class Watch(ClientTimeouts):
    """Keeps the last client, and closes none."""

    def __init__(self, bench: FrontendBench) -> None:
        super().__init__(asyncio.get_running_loop(), bench.relay.counters)
        self.client: ClientSocket

    def watch(self, client: ClientSocket) -> None:
        self.client = client


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[FrontendBench, RawClient, ClientSocket]]:
    """Connects a client; also yields its socket in the gateway."""
    bench = FrontendBench()
    watch = Watch(bench)
    bench.frontend = FrontendServer(Address("127.0.0.1", 0), bench.settings, timeouts=watch)
    async with bench:
        client = await bench.connect(request())
        assert (await client.read_head())[0] == 101
        yield bench, client, watch.client


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("sent", [TEXT, PING])
async def test_message_and_ping_change_the_activity(sent: int) -> None:
    async with connected() as (_, client, watched):
        before = watched.activity
        client.write(frame(sent, b"A"))
        await until(lambda: watched.activity != before)
        assert watched.pongs == 0
        assert watched.ponged_at is None


async def test_ping_before_a_message_does_not_hide_it() -> None:
    async with connected() as (bench, client, watched):
        connection = await bench.backend.connection()
        before = watched.activity
        client.write(frame(PING) + frame(TEXT, b"A"))
        await connection.until_received(1)
        assert watched.activity != before


async def test_pong_counts_and_does_not_change_the_activity() -> None:
    async with connected() as (_, client, watched):
        before, began = watched.activity, asyncio.get_running_loop().time()
        client.write(frame(PONG))
        await until(lambda: watched.pongs != 0)
        assert watched.pongs == 1
        assert watched.activity == before
        assert watched.ponged_at is not None
        assert watched.ponged_at >= began


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_client_is_not_silent_while_a_frame_is_incomplete() -> None:
    async with connected() as (_, client, watched):
        client.write(frame(TEXT, b"A")[:-1])
        await until(lambda: watched.is_in_a_frame)
        assert watched.silent_for(0)
        assert not watched.silent_for(TIMEOUT)
