"""Answers of several messages: lines, and event streams."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from .application import Application, Recorded
from .conftest import StartGateway

Parts = Callable[[Recorded], AsyncIterator[bytes]]


def streaming(
    media_type: str, parts: Parts, **headers: str
) -> Callable[[Recorded], Awaitable[web.StreamResponse]]:
    """Returns a script that writes an answer in parts."""

    async def answer(recorded: Recorded) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": media_type, **headers})
        await response.prepare(recorded.request)
        async for part in parts(recorded):
            await response.write(part)
        return response

    return answer


async def test_each_line_becomes_message_on_arrival(
    application: Application, start_gateway: StartGateway
) -> None:
    go_on = asyncio.Event()

    async def lines(_: Recorded) -> AsyncIterator[bytes]:
        yield b'{"n": 1}\n\n{"n"'
        await go_on.wait()
        yield b": 2}\r\n"
        yield '{"ü": 3}'.encode()

    application.on_message = streaming("application/x-ndjson", lines)
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        await client.send("x")
        assert await client.recv() == '{"n": 1}'
        go_on.set()
        assert [await client.recv(), await client.recv()] == ['{"n": 2}', '{"ü": 3}']


@pytest.mark.slow
async def test_request_timeout_pauses_while_client_is_slow(
    application: Application, start_gateway: StartGateway
) -> None:
    """A timeout would send the message again, and the client would get its lines twice."""
    count = 200

    async def lines(_: Recorded) -> AsyncIterator[bytes]:
        for number in range(count):
            yield f"{number:06}{'x' * 65530}\n".encode()

    application.on_message = streaming("application/x-ndjson", lines)
    gateway = await start_gateway(application, **{"request-timeout": "4s"})
    async with connect(gateway.url, max_queue=1) as client:
        await client.send("x")
        await application.until_messages(1)
        await asyncio.sleep(6)
        numbers = [int(str(await client.recv())[:6]) for _ in range(count)]
        await client.send("x")
        await application.until_messages(2)
    assert numbers == [*range(count)]
    assert [each.number for each in application.of("message")] == [1, 2]


async def test_lines_wait_for_earlier_answers(
    application: Application, start_gateway: StartGateway
) -> None:
    go_on = asyncio.Event()

    async def lines(_: Recorded) -> AsyncIterator[bytes]:
        yield b"1\n2\n"

    stream = streaming("application/x-ndjson", lines)

    async def answer(recorded: Recorded) -> web.StreamResponse:
        if recorded.number == 2:
            go_on.set()
            return await stream(recorded)
        await go_on.wait()
        await asyncio.sleep(0.05)
        return web.Response(text="0")

    application.on_message = answer
    gateway = await start_gateway(application, concurrency=2)
    async with connect(gateway.url) as client:
        await client.send("x")
        await client.send("x")
        assert [await client.recv() for _ in range(3)] == ["0", "1", "2"]


async def test_event_stream_delays_nothing_and_ends_with_client(
    application: Application, start_gateway: StartGateway
) -> None:
    binary = base64.b64encode(b"\x00\xff").decode()

    async def events(_: Recorded) -> AsyncIterator[bytes]:
        yield b"\xef\xbb\xbfdata: one\r\ndata: more\r\n\r\n: comment\nid: 1\ndata:tw"
        yield f"o\rdata\r\revent: binary\ndata: {binary}\n\n".encode()
        await asyncio.Event().wait()

    stream = streaming("text/event-stream", events)

    async def answer(recorded: Recorded) -> web.StreamResponse:
        return await stream(recorded) if recorded.number == 1 else web.Response(text="next")

    application.on_message = answer
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        await client.send("x")
        assert await client.recv() == "one\nmore"
        assert await client.recv() == "two\n"
        assert await client.recv() == b"\x00\xff"
        await client.send("x")
        assert await client.recv() == "next"
        assert not application.gone
    await application.until(lambda: application.gone == 1)


async def test_stream_above_limit_ends_oldest(
    application: Application, start_gateway: StartGateway
) -> None:
    ended: list[int] = []

    async def events(recorded: Recorded) -> AsyncIterator[bytes]:
        yield f"data: {recorded.number}\n\n".encode()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(recorded.number)

    application.on_message = streaming("text/event-stream", events)
    gateway = await start_gateway(application, **{"max-streams": 2})
    async with connect(gateway.url) as client:
        for number in range(1, 4):
            await client.send("x")
            assert await client.recv() == str(number)
        await application.until(lambda: application.gone == 1)
        assert ended == [1]
    assert gateway.count("http_streams_ended") == 1


async def test_stream_end_closes_session_with_requested_code(
    application: Application, start_gateway: StartGateway
) -> None:
    async def events(_: Recorded) -> AsyncIterator[bytes]:
        yield b"data: bye\n\n"

    application.on_message = streaming("text/event-stream", events, **{"X-Wsgw-Close": "4000"})
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        await client.send("x")
        assert await client.recv() == "bye"
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4000


@pytest.mark.parametrize(
    "rubbish",
    [b"data: \xff\n\n", b"event: binary\ndata: %%%\n\n", b"data: " + b"x" * 5000 + b"\n\n"],
)
async def test_unusable_event_closes_session(
    application: Application, start_gateway: StartGateway, rubbish: bytes
) -> None:
    async def events(_: Recorded) -> AsyncIterator[bytes]:
        yield rubbish
        await asyncio.Event().wait()

    application.on_message = streaming("text/event-stream", events)
    gateway = await start_gateway(application, **{"max-response": 1024})
    async with connect(gateway.url) as client:
        await client.send("x")
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011


async def test_slow_client_slows_stream(
    application: Application, start_gateway: StartGateway
) -> None:
    """The application can only fill the buffers, and nothing is lost."""
    count, written = 400, 0

    async def events(_: Recorded) -> AsyncIterator[bytes]:
        nonlocal written
        for number in range(count):
            yield f"data: {number:06}{'x' * 65530}\n\n".encode()
            written = number + 1

    application.on_message = streaming("text/event-stream", events)
    gateway = await start_gateway(application)
    async with connect(gateway.url, max_queue=1) as client:
        await client.send("x")
        await application.until_messages(1)
        before = -1
        while before != written or not written:  # until the application is blocked
            before = written
            await asyncio.sleep(0.5)
        assert written < count
        numbers = [int(str(await client.recv())[:6]) for _ in range(count)]
    assert numbers == [*range(count)]
