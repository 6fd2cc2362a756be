"""Objects that are no longer needed are freed at once.

Each may be large, and Python's cycle collector counts objects, not bytes, so it runs late.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from wsgw_http.delivery import Outgoing
from wsgw_http.event_streams import EventStream
from wsgw_http.piece_turns import PieceTurns

from wsgw_core.testing.running_gateway import running_gateway

from .application import Application, Recorded
from .conftest import StartGateway, StartRaw
from .raw_application import flood

FAST = {"retry-backoff": "10ms", "max-retry-backoff": "20ms"}
PART = PieceTurns.pass_on.__globals__["_Part"]
TEXT = b"HTTP/1.1 200 OK\r\n\r\n"
LINES = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.fixture(autouse=True)
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def none_left(kind: type, most: int = 0) -> None:
    """Waits until at most `most` objects of a class are left."""
    async with asyncio.timeout(30):
        while sum(type(each) is kind for each in gc.get_objects()) > most:  # noqa: ASYNC110 - no event to await
            await asyncio.sleep(0.01)


async def test_evicted_event_streams_are_freed(
    start_raw: StartRaw, start_gateway: StartGateway
) -> None:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(EVENTS)
        await flood(writer, b": comment\n" * 6000 + b"data: x\n\n")

    application = await start_raw(answer)
    gateway = await start_gateway(application, **{"max-streams": 2})
    async with connect(gateway.url) as client:
        while gateway.count("http_streams_ended") < 20:
            await client.send("one more")
            await client.recv()
        await none_left(EventStream, 3)
        await none_left(PART, 3)


@pytest.mark.parametrize("begins", [LINES, TEXT])
async def test_messages_with_unusable_answers_are_freed(
    start_raw: StartRaw, start_gateway: StartGateway, begins: bytes
) -> None:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(begins)
        await flood(writer, b"\n" * 65536)

    application = await start_raw(answer)
    gateway = await start_gateway(application, **FAST, **{"max-response": "64KiB"})
    async with connect(gateway.url) as client:
        await client.send("x")
        await client.wait_closed()
        assert client.close_code == 1011
    await none_left(Outgoing)
    await none_left(PART)


async def test_messages_in_flight_of_ended_session_are_freed(
    application: Application,
) -> None:
    async def never(_: Recorded) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    application.on_message = never
    data = {
        "upstream": {"backends": [{"url": application.url, "concurrency": 4}]},
        # Three times, for three things that do not come.
        "limits": {"close-timeout": "300ms"},
    }
    async with running_gateway(data) as gateway, connect(gateway.url) as client:
        for _ in range(4):
            await client.send("x")
        await application.until_messages(4)
        await gateway.gateway.stop()
        await client.wait_closed()
    await none_left(Outgoing)
