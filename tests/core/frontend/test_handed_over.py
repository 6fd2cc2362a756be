"""Clients that an aiohttp application hands over to the frontend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from wsgw_core.frontend.handed_over import take_over

from ..websocket.raw_frames import TEXT, RawFrame, frame, read_frame
from .frontend_bench import FrontendBench, RawClient, request


@asynccontextmanager
async def application(bench: FrontendBench, statuses: list[int]) -> AsyncIterator[RawClient]:
    """Runs an application that hands all clients over, and notes statuses; yields a client."""

    async def handle(asked: web.Request) -> web.StreamResponse:
        response = take_over(asked, bench.frontend)
        statuses.append(response.status)
        return response

    app = web.Application()
    app.router.add_get("/{any:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield await bench.connect(to=runner.addresses[0][:2])
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("early", [b"", frame(TEXT, b"early")])
async def test_a_client_that_is_handed_over_is_relayed_as_any_other(early: bytes) -> None:
    statuses: list[int] = []
    async with FrontendBench() as bench, application(bench, statuses) as client:
        client.write(request("X-A: 1", line="GET /chat%20room?a=%2F HTTP/1.1") + early)
        assert (await client.read_head())[0] == 101
        client.write(frame(TEXT, b"later"))
        connection = await bench.backend.connection()
        expected = ["early", "later"] if early else ["later"]
        await connection.until_received(len(expected))
        assert connection.texts == expected
        assert connection.request.path == "/chat%20room?a=%2F"
        assert ("X-A", "1") in connection.request.headers
        connection.reply("answer")
        assert await read_frame(client.reader) == RawFrame(TEXT, b"answer")
        assert statuses == [101]


async def test_a_request_that_asks_for_no_websocket_is_answered_426() -> None:
    statuses: list[int] = []
    async with FrontendBench() as bench, application(bench, statuses) as client:
        client.write(b"GET /chat HTTP/1.1\r\nHost: a\r\n\r\n")
        status, headers = await client.read_head()
        assert (status, statuses) == (426, [426])
        assert ("Upgrade", "websocket") in headers
        assert ("Sec-WebSocket-Version", "13") in headers
        assert bench.backend.requests == []
