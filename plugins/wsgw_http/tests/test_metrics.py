"""The metrics of requests to an application."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web
from websockets.asyncio.client import connect

from wsgw_core.testing.running_gateway import RunningGateway

from .application import Application, Recorded
from .conftest import StartGateway

FAST = {"retry-backoff": "10ms", "max-retry-backoff": "20ms"}


def families(gateway: RunningGateway) -> dict[str, Any]:
    """Returns the plugin's metrics by their names."""
    return {each.name: each for each in gateway.gateway.metrics if each.name.startswith("http_")}


async def test_requests_count_by_event_and_outcome(
    application: Application, start_gateway: StartGateway
) -> None:
    left = [200, 404, 503, 200, 500, 500]

    async def answer(_: Recorded) -> web.Response:
        return web.Response(status=left.pop(0), text="x")

    application.on_message = answer
    gateway = await start_gateway(application, retries=1, **FAST)
    async with connect(gateway.url) as client:
        for _ in range(4):
            await client.send("x")
        await client.wait_closed()
        assert client.close_code == 1011
    await application.until(lambda: application.of("disconnect"))
    while families(gateway)["http_in_flight"].readers[0][1]():  # noqa: ASYNC110 - no event to await
        await asyncio.sleep(0.01)
    found = families(gateway)
    assert {values: each.value for values, each in found["http_requests"].series.items()} == {
        ("app", "connect", "ok"): 1,
        ("app", "message", "ok"): 2,
        ("app", "message", "verdict"): 1,
        ("app", "message", "retry"): 2,
        ("app", "message", "bad_answer"): 1,
        ("app", "disconnect", "ok"): 1,
    }
    (durations,) = found["http_request_duration_seconds"].series.values()
    assert sum(durations.counts) == len(application.requests) == 8


async def test_gauges_show_requests_connections_and_streams(
    application: Application, start_gateway: StartGateway
) -> None:
    go_on = asyncio.Event()

    async def wait(recorded: Recorded) -> web.StreamResponse:
        if recorded.body == b"stream":
            stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await stream.prepare(recorded.request)
            await stream.write(b"data: begins\n\n")
            await asyncio.Event().wait()
        await go_on.wait()
        return web.Response(text="done")

    application.on_message = wait
    gateway = await start_gateway(
        application, **{"max-connections-per-host": 1, "max-connections": 4}
    )
    shown = families(gateway)
    names = ("in_flight", "waiting", "streams", "connections")

    def gauges() -> list[float]:
        return [shown[f"http_{name}"].readers[0][1]() for name in names]

    async with AsyncExitStack() as stack:
        streaming, one, other = [
            await stack.enter_async_context(connect(gateway.url)) for _ in range(3)
        ]
        await streaming.send("stream")
        assert await streaming.recv() == "begins"
        await one.send("x")
        await application.until_messages(2)
        await other.send("x")
        while gauges() != [1, 1, 1, 2]:  # noqa: ASYNC110 - no event to await
            await asyncio.sleep(0.01)
        go_on.set()
        assert [await one.recv(), await other.recv()] == ["done", "done"]
