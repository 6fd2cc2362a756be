"""Loads that an operator would try: many clients, outages of seconds, endless answers."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from .application import TIMEOUT, Application, Recorded
from .conftest import StartGateway, StartRaw
from .raw_application import flood

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

MIB = 1024 * 1024


async def echo(recorded: Recorded) -> web.Response:
    return web.Response(text=recorded.body.decode())


async def connected(url: str, count: int, stack: AsyncExitStack) -> list[ClientConnection]:
    return [await stack.enter_async_context(connect(url)) for _ in range(count)]


async def talk(client: ClientConnection, count: int, pause: float) -> list[str | bytes]:
    """Sends numbers at a steady rate; returns the answers."""

    async def say() -> None:
        for number in range(1, count + 1):
            await client.send(str(number))
            await asyncio.sleep(pause)

    saying = asyncio.create_task(say())
    async with asyncio.timeout(TIMEOUT):
        answers = [await client.recv() for _ in range(count)]
    await saying
    return answers


@pytest.mark.slow
async def test_fifty_busy_clients_survive_two_second_outage(
    application: Application, start_gateway: StartGateway
) -> None:
    application.on_message = echo
    gateway = await start_gateway(application)
    count = 60
    async with AsyncExitStack() as stack:
        clients = await connected(gateway.url, 50, stack)
        talking = asyncio.gather(*(talk(each, count, 0.05) for each in clients))
        await application.until_messages(500)
        await application.stop()
        await asyncio.sleep(2)
        await application.start()
        for answers in await talking:
            assert list(dict.fromkeys(answers)) == [str(each) for each in range(1, count + 1)]
        assert all(each.close_code is None for each in clients)
    seen: dict[str, list[int]] = defaultdict(list)
    keys_of: dict[str, dict[int, str]] = defaultdict(dict)
    for request in application.of("message"):
        session = request.headers["X-Wsgw-Session"]
        numbers, keys = seen[session], keys_of[session]
        if request.number <= max(numbers, default=0):
            assert request.headers["X-Wsgw-Replayed"] == "1"
            assert keys[request.number] == request.headers["Idempotency-Key"]
        keys[request.number] = request.headers["Idempotency-Key"]
        numbers.append(request.number)
    assert len(seen) == 50
    for numbers in seen.values():
        assert list(dict.fromkeys(numbers)) == list(range(1, count + 1))


@pytest.mark.slow
async def test_message_that_always_fails_closes_only_its_client(
    application: Application, start_gateway: StartGateway
) -> None:
    async def fail_on_bad(recorded: Recorded) -> web.Response:
        if recorded.body == b"bad":
            return web.Response(status=500)
        return web.Response(text=recorded.body.decode())

    application.on_message = fail_on_bad
    gateway = await start_gateway(application)
    count = 40
    async with AsyncExitStack() as stack:
        others = await connected(gateway.url, 20, stack)
        talking = asyncio.gather(*(talk(each, count, 0.05) for each in others))
        unlucky = await stack.enter_async_context(connect(gateway.url))
        await unlucky.send("bad")
        await application.until(
            lambda: sum(each.body == b"bad" for each in application.requests) == 2
        )
        async with connect(gateway.url) as newcomer:
            assert await talk(newcomer, 1, 0) == ["1"]
        with pytest.raises(ConnectionClosed):
            await unlucky.recv()
        assert unlucky.close_code == 1011
        async with connect(gateway.url) as newcomer:
            assert await talk(newcomer, 1, 0) == ["1"]
        expected = [str(each) for each in range(1, count + 1)]
        assert await talking == [expected] * 20
    assert sum(each.body == b"bad" for each in application.requests) == 3
    (backend,) = gateway.gateway.pool.backends
    assert (backend.breaker.trips, backend.breaker.tripped) == (0, False)


@pytest.mark.slow
async def test_lines_arrive_as_application_writes_them(
    application: Application, start_gateway: StartGateway
) -> None:
    heard: list[asyncio.Event] = [asyncio.Event() for _ in range(3)]

    async def lines(recorded: Recorded) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await answer.prepare(recorded.request)
        for number in range(3):
            await answer.write(b"%d\n" % number)
            await heard[number].wait()  # no line waits for the next one
            await asyncio.sleep(0.2)
        return answer

    application.on_message = lines
    gateway = await start_gateway(application)
    loop = asyncio.get_running_loop()
    async with connect(gateway.url) as client, asyncio.timeout(TIMEOUT):
        await client.send("x")
        times = []
        for number in range(3):
            assert await client.recv() == str(number)
            times.append(loop.time())
            heard[number].set()
    assert all(later - earlier >= 0.19 for earlier, later in itertools.pairwise(times))


@pytest.mark.slow
async def test_long_stream_delays_no_message(
    application: Application, start_gateway: StartGateway
) -> None:
    async def stream(recorded: Recorded) -> web.StreamResponse:
        if recorded.body != b"stream":
            return web.Response(text="answer")
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(recorded.request)
        for number in range(10):
            await answer.write(b"data: %d\n\n" % number)
            await asyncio.sleep(0.5)
        return answer

    application.on_message = stream
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client, asyncio.timeout(TIMEOUT):
        await client.send("stream")
        await client.send("next")
        got = [await client.recv() for _ in range(11)]
    assert [each for each in got if each != "answer"] == [*map(str, range(10))]
    assert got.index("answer") < 10  # before the end of the stream


@pytest.mark.slow
async def test_endless_answers_bound_memory_and_spare_other_sessions(
    start_raw: StartRaw, start_gateway: StartGateway
) -> None:
    async def answer(body: bytes, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
        if body == b"endless":
            writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
            await flood(writer, b"10000\r\n" + bytes(0x10000) + b"\r\n")
        elif body == b"large":
            writer.write(head + b"Content-Length: %d\r\n\r\n" % (2 * MIB) + b"x" * 2 * MIB)
        else:
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    application = await start_raw(answer)
    gateway = await start_gateway(application)
    async with AsyncExitStack() as stack:
        others = await connected(gateway.url, 5, stack)
        before = resident()
        talking = asyncio.gather(*(talk(each, 20, 0.05) for each in others))
        bad = await connected(gateway.url, 10, stack)
        most = 0
        for client, body in zip(bad, itertools.cycle(["endless", "large"])):
            await client.send(body)
        for client in bad:
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1011
            most = max(most, resident())
        assert await talking == [[str(each) for each in range(1, 21)]] * 5
    # Ten at once: 1 MiB each that wsgw parses, and as much in the test's application.
    assert most - before < 100 * MIB


def resident() -> int:
    """Returns the resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
async def test_messages_and_disconnect_event_arrive_after_outage(
    application: Application, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(application)
    client = await connect(gateway.url)
    await application.stop()
    for number in range(10):
        await client.send(str(number))
    await client.close(4001, "bye")
    await asyncio.sleep(3)
    await application.start()
    await application.until(lambda: application.of("disconnect"))
    await gateway.gateway.stop()
    assert [each.body for each in application.of("message")] == [b"%d" % n for n in range(10)]
    [end] = application.of("disconnect")
    assert end is application.requests[-1]
    expected = {"code": 4001, "reason": "bye", "by": "client", "messages": 10}
    assert expected.items() <= end.json.items()
