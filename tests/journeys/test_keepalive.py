"""Which side answers a client's pings."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect

from .conftest import StartBackend, StartGateway

END_TO_END = {"frontend": {"address": "127.0.0.1:0", "keepalive": "end-to-end"}}


async def test_gateway_answers_pings_by_default(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backend = await start_backend()
    gateway = await start_gateway(backend)
    async with connect(gateway.url, ping_interval=None) as client:
        served = await backend.connection()
        served.transport.pause_reading()
        await (await client.ping())
        served.transport.resume_reading()


async def test_end_to_end_ping_is_answered_only_by_the_backend(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backend = await start_backend()
    gateway = await start_gateway(backend, server=END_TO_END, failover={"ping-timeout": "60s"})
    async with connect(gateway.url, ping_interval=None) as client:
        served = await backend.connection()
        for _ in range(3):
            await (await client.ping())
        served.transport.pause_reading()
        waiter = await client.ping()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiter), 0.3)
        await client.send("while it does not read")
        served.transport.resume_reading()
        await waiter
        assert await served.recv() == "while it does not read"


async def test_end_to_end_ping_is_answered_by_the_next_backend_after_a_failover(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway(blue, green, server=END_TO_END)
    async with connect(gateway.url, ping_interval=None) as client:
        (await blue.connection()).transport.pause_reading()
        waiter = await client.ping()
        await blue.down()
        await green.connection()
        await waiter
