"""Limits of connections and requests; event streams delay no message."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from wsgw_http.request_limiter import RequestLimiter

from .application import TIMEOUT, Application, Recorded
from .conftest import StartGateway


async def test_waiting_requests_enter_in_order_of_arrival() -> None:
    limiter, order = RequestLimiter(1), []

    async def pass_through(name: str) -> None:
        places = await limiter.enter("app")
        order.append(name)
        await asyncio.sleep(0)
        limiter.leave(places)

    await asyncio.gather(*map(pass_through, "abcde"))
    assert order == list("abcde")
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


async def test_cancelled_wait_takes_no_place() -> None:
    limiter = RequestLimiter(1)
    places = await limiter.enter("app")
    first, second = (asyncio.create_task(limiter.enter("app")) for _ in range(2))
    await asyncio.sleep(0)
    assert limiter.waiting == 2
    limiter.leave(places)
    first.cancel()  # it already has the place
    limiter.leave(await asyncio.wait_for(second, TIMEOUT))
    assert (limiter.in_flight, limiter.waiting) == (0, 0)
    await asyncio.wait_for(limiter.enter("app"), TIMEOUT)
    assert (limiter.in_flight, limiter.waiting) == (1, 0)


async def test_full_host_does_not_delay_other_hosts() -> None:
    limiter = RequestLimiter(1)
    one = await asyncio.wait_for(limiter.enter("one"), TIMEOUT)
    other = await asyncio.wait_for(limiter.enter("other"), TIMEOUT)
    third = asyncio.create_task(limiter.enter("one"))
    await asyncio.sleep(0)
    assert (limiter.in_flight, limiter.waiting) == (2, 1)
    limiter.leave(other)
    await asyncio.sleep(0)
    assert not third.done()
    limiter.leave(one)
    await asyncio.wait_for(third, TIMEOUT)


async def test_requests_in_flight_stay_within_limit(
    application: Application, start_gateway: StartGateway
) -> None:
    go_on = asyncio.Event()

    async def wait(_: Recorded) -> web.Response:
        await go_on.wait()
        return web.Response(text="done")

    application.on_message = wait
    gateway = await start_gateway(
        application, **{"max-connections-per-host": 2, "max-connections": 4}
    )
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(gateway.url)) for _ in range(6)]
        for client in clients:
            await client.send("x")
        await application.until_messages(2)
        assert application.in_flight == 2
        go_on.set()
        assert [await client.recv() for client in clients] == ["done"] * 6
    assert application.most_in_flight == 2


async def test_streams_delay_no_message_and_excess_ends_oldest(
    application: Application, start_gateway: StartGateway
) -> None:
    async def answer(recorded: Recorded) -> web.StreamResponse:
        if recorded.body == b"short":
            return web.Response(text="here")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(recorded.request)
        await response.write(b"data: begins\n\n")
        await asyncio.Event().wait()
        return response

    application.on_message = answer
    gateway = await start_gateway(
        application, **{"max-connections-per-host": 1, "max-connections": 4}
    )
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(gateway.url)) for _ in range(4)]
        for client in clients:
            await client.send("long")
            assert await client.recv() == "begins"
        await application.until(lambda: application.gone == 1)
        for client in clients:
            await client.send("short")
            assert await client.recv() == "here"
        assert application.gone == 1
    assert gateway.count("http_streams_ended") == 1


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


async def test_https_application_gets_messages_over_tls(
    start_gateway: StartGateway, authority: trustme.CA, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    application = Application(authority.issue_cert("localhost"))
    await application.start()
    url = f"https://localhost:{application.port}/ws{{path}}"
    try:
        gateway = await start_gateway(application, url=url, tls={"ca": str(file)})
        async with connect(gateway.url) as client:
            await client.send("x")
            (message,) = await application.until_messages(1)
            assert message.request.scheme == "https"
        distrustful = await start_gateway(application, url=url)
        with pytest.raises(InvalidStatus) as caught:
            await connect(distrustful.url)
        assert caught.value.response.status_code == 502
    finally:
        await application.stop()
