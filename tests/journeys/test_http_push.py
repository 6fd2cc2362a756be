"""A web application pushes messages to its clients by the URL in each request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from websockets.asyncio.client import connect

from .admin_operator import FAILED, SUCCESS
from .conftest import StartAdmin, StartGateway

TOKEN = {"name": "app", "token": "0123456789abcdef0123456789abcdef", "roles": ["send"]}
BEARER = {"Authorization": f"Bearer {TOKEN['token']}"}
MIB = 1024 * 1024


class Told:
    """What the application received.

    Attributes:
        url: where it listens.
        push: the push path of each request.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.push: asyncio.Queue[str] = asyncio.Queue()


@pytest.fixture
async def application() -> AsyncIterator[Told]:
    async def answer(request: web.Request) -> web.Response:
        told.push.put_nowait(urlsplit(request.headers["X-Wsgw-Push"]).path)
        return web.Response(status=204)

    server = web.Application()
    server.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told = Told(f"http://127.0.0.1:{runner.addresses[0][1]}/ws{{path}}")
    yield told
    await runner.cleanup()


async def test_pushed_text_and_bytes_reach_the_client(
    application: Told, start_gateway: StartGateway, start_admin: StartAdmin
) -> None:
    gateway = await start_gateway({"url": application.url, "push-url": "http://gateway:8081"})
    operator = await start_admin(gateway, tokens=[TOKEN])
    async with connect(gateway.url) as client:
        path = await application.push.get()
        assert await operator.post(path, data="hello", headers=BEARER) == SUCCESS
        assert await client.recv() == "hello"
        binary = {**BEARER, "Content-Type": "application/octet-stream"}
        assert await operator.post(path, data=b"\xff\x00", headers=binary) == SUCCESS
        assert await client.recv() == b"\xff\x00"
        wrong = {"Authorization": f"Bearer {'f' * 32}"}
        for headers in ({}, wrong):
            refused = await operator.call("POST", path, data="hello", headers=headers)
            assert refused.status == 401
        assert (await operator.call("GET", "/session/list", headers=BEARER)).status == 403
        assert await operator.post(f"{path}x", data="hello", headers=BEARER) == FAILED


async def test_push_to_a_client_that_does_not_read_fails_when_it_is_full(
    application: Told, start_gateway: StartGateway, start_admin: StartAdmin
) -> None:
    gateway = await start_gateway({"url": application.url, "push-url": "http://gateway:8081"})
    operator = await start_admin(gateway, tokens=[TOKEN], max_body_bytes=2 * MIB)
    async with connect(gateway.url, max_queue=1) as client:
        path = await application.push.get()
        taken = 0
        while (answer := await operator.post(path, data="x" * MIB, headers=BEARER)) == SUCCESS:
            taken += 1
            assert taken < 100
        assert answer["reason"] == "the client reads too slowly"
        for _ in range(taken):
            assert len(await client.recv()) == MIB
