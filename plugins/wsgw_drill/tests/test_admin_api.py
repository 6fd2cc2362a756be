"""Calls to the admin API, and their failures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web
from wsgw_drill.admin_api import AdminApi, NotDone


@asynccontextmanager
async def answering(answer: str) -> AsyncIterator[tuple[AdminApi, list[str]]]:
    """Serves one answer to all calls; also yields the calls."""
    calls: list[str] = []

    async def serve(request: web.Request) -> web.Response:
        calls.append(f"{request.method} {request.raw_path} {request.headers['Authorization']}")
        return web.Response(text=answer)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield AdminApi(f"http://127.0.0.1:{runner.addresses[0][1]}", "secret"), calls
    finally:
        await runner.cleanup()


async def test_order_is_sent_like_an_operators() -> None:
    async with answering('{"result": "success"}') as (admin, calls):
        await admin.give("drain", "a/b")

    assert calls == ["POST /backend/drain/a%2Fb Bearer secret"]


LISTED = """[
    {"id": "blue", "url": "ws://localhost:1001/base"},
    {"id": "green", "url": "ws://10.0.0.1"},
    {"id": "red", "url": "wss://[::1]:1003"},
    {"id": "grey", "url": "ws://other:1003"},
    {"id": "queue", "url": "redis+sentinel://one:26379,two:26379/main"},
    {"id": "app", "url": "http://[{header:X-App}]:80/"}
]"""


async def test_backends_have_the_ids_of_the_gateway() -> None:
    async with answering(LISTED) as (admin, calls):
        found = await admin.with_ids({"backend-1": 1001, "backend-2": 80})

    assert calls == ["GET /backend/list Bearer secret"]
    assert found.ids == {"backend-1": "blue", "backend-2": "green"}
    async with answering('{"result": "success"}') as (admin, calls):
        await replace(admin, ids=found.ids).give("drain", "backend-1")
    assert calls == ["POST /backend/drain/blue Bearer secret"]


@pytest.mark.parametrize(
    ("answer", "port", "told"),
    [
        (LISTED, 1002, "the gateway has 0 backends with port 1002, not one"),
        (LISTED, 1003, "the gateway has 2 backends with port 1003, not one"),
        ('{"result": "failed", "reason": "no"}', 1001, "refused to list its backends: .*no"),
        ("what?", 1001, "the admin API does not answer: "),
    ],
)
async def test_another_gateway_is_reported(answer: str, port: int, told: str) -> None:
    async with answering(answer) as (admin, _):
        with pytest.raises(NotDone, match=told):
            await admin.with_ids({"backend-1": port})


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ('{"result": "failed", "reason": "no"}', "the gateway refused drain of blue: .*no"),
        (
            '{"result": "success", "reason": "NoActionRequired"}',
            "the gateway refused drain of blue: .*NoActionRequired",
        ),
        ("what?", "the admin API does not answer: "),
    ],
)
async def test_refused_order_raises_reason(answer: str, told: str) -> None:
    async with answering(answer) as (admin, _):
        with pytest.raises(NotDone, match=told):
            await admin.give("drain", "blue")


async def test_unreachable_admin_api_raises_reason() -> None:
    async with answering("") as (admin, _):
        pass

    with pytest.raises(NotDone, match="the admin API does not answer: "):
        await admin.give("enable", "blue")
    assert await admin.undelivered() is None
