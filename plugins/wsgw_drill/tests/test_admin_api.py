"""Calls to the admin API, and their failures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
