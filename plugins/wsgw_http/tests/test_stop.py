"""A gateway that stops while web applications still work on answers."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from .application import Application, Recorded
from .conftest import StartGateway


async def answer_in_a_while(recorded: Recorded) -> web.Response:
    await asyncio.sleep(0.3)
    return web.Response(text=recorded.body.decode())


async def read_to_the_end(client: ClientConnection) -> tuple[list[str | bytes], int | None]:
    """Returns the remaining messages of a client, and its close code."""
    texts = []
    while True:
        try:
            texts.append(await client.recv())
        except ConnectionClosed:
            return texts, client.close_code


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_stopping_gateway_delivers_answers_then_closes_with_1012(
    application: Application, start_gateway: StartGateway, concurrency: int
) -> None:
    application.on_message = answer_in_a_while
    gateway = await start_gateway(application, concurrency=concurrency)
    clients = [await connect(gateway.url) for _ in range(6)]
    for number, client in enumerate(clients):
        for each in range(3):
            await client.send(f"{number}.{each}")
    while sum(each.messages_received for each in gateway.gateway.sessions) < 18:  # noqa: ASYNC110 - no event to await
        await asyncio.sleep(0.01)
    ends = asyncio.gather(*map(read_to_the_end, clients))
    await gateway.gateway.stop()
    for number, (texts, code) in enumerate(await ends):
        assert texts == [f"{number}.{each}" for each in range(3)]
        assert code == 1012
    assert [each.json["messages"] for each in application.of("disconnect")] == [3] * 6


async def test_open_event_stream_does_not_delay_stop(
    application: Application, start_gateway: StartGateway
) -> None:
    async def stream(recorded: Recorded) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(recorded.request)
        while True:
            await answer.write(b"data: tick\n\n")
            await asyncio.sleep(0.01)

    application.on_message = stream
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        await client.send("begin")
        assert await client.recv() == "tick"
        end = asyncio.create_task(read_to_the_end(client))
        await gateway.gateway.stop()
        texts, code = await end
    assert set(texts) <= {"tick"}
    assert code == 1012
    await application.until(lambda: application.gone)
