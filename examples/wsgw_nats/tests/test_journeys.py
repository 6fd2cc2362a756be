"""The whole gateway between clients and a stream, also with a server killed under load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.util import find_spec
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from wsgw_nats import plugin

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway
from wsgw_core.testing.samples import samples

from .nats_server import NatsServer
from .workers import Workers

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

_TIMEOUT = 60.0


@asynccontextmanager
async def gateway(*backends: dict[str, Any], **sections: Any) -> AsyncIterator[RunningGateway]:
    """Runs a gateway with the given backends."""
    data = {"upstream": {"backends": list(backends)}, **sections}
    async with (
        asyncio.timeout(2 * _TIMEOUT),
        running_gateway(data, [plugin]) as running,
    ):
        yield running


async def until(condition: Callable[[], object]) -> None:
    """Waits until a condition holds."""
    async with asyncio.timeout(_TIMEOUT):
        while not condition():  # noqa: ASYNC110 - no event to await
            await asyncio.sleep(0.01)


def stream(server: NatsServer) -> dict[str, Any]:
    """Returns the configuration of the backend."""
    return {"id": "stream", "url": server.url}


def sample(running: RunningGateway, name: str, **labels: str) -> float:
    """Returns the value of a metric of the backend."""
    pairs = {"backend": "stream", **labels}
    inside = ",".join(f'{label}="{value}"' for label, value in pairs.items())
    return samples(running.gateway.metrics).get(f"wsgw_nats_{name}{{{inside}}}", 0)


def session_ids(running: RunningGateway) -> set[str]:
    return {session.id for session in running.gateway.sessions}


async def test_server_killed_under_load_loses_and_repeats_no_message(
    server: NatsServer, workers: Workers
) -> None:
    clients, messages = 20, 150
    async with gateway(stream(server)) as running:
        async with AsyncExitStack() as stack:
            connected = [
                await stack.enter_async_context(connect(running.url)) for _ in range(clients)
            ]
            ids = session_ids(running)
            sending = [asyncio.create_task(talk(each, messages)) for each in connected]
            for part in range(1, 4):
                enough = part * clients * messages // 5
                await until(lambda: running.count("nats_published") > enough)  # noqa: B023 - at once
                await server.kill()
                await server.start()
            await asyncio.gather(*sending)
            assert session_ids(running) == ids, "every client has kept its session"
            for session_id in ids:
                numbers = await workers.until_numbers(session_id, messages)
                assert numbers == list(range(1, messages + 1))
                texts = [int(msg.data or b"") for _, msg in workers.messages[session_id]]
                assert texts == list(range(messages))
        for session_id in ids:
            told = await workers.until_told(session_id, "disconnect")
            assert (told["code"], told["cause"]) == (1000, "client left")
        await workers.read()
        for session_id in ids:
            types = [event["type"] for event in workers.events[session_id]]
            assert types.count("disconnect") == 1
            assert types[-1] == "disconnect"
            assert types.count("connect") > 1, "the session has moved"


async def talk(client: ClientConnection, messages: int) -> None:
    """Sends numbers."""
    for number in range(messages):
        await client.send(str(number))
        await asyncio.sleep(0.002)


@pytest.mark.skipif(find_spec("wsgw_ws") is None, reason="wsgw-ws is not installed")
async def test_session_moves_between_stream_and_websocket_with_its_numbers(
    server: NatsServer, workers: Workers
) -> None:
    peers: list[ServerConnection] = []

    async def answer(peer: ServerConnection) -> None:
        peers.append(peer)
        with suppress(ConnectionClosed):
            async for text in peer:
                await peer.send(f"websocket {text!s}")

    async with serve(answer, "127.0.0.1", 0) as backup:
        port = backup.sockets[0].getsockname()[1]
        backends = (stream(server), {"url": f"ws://127.0.0.1:{port}", "priority": 2})
        async with gateway(*backends) as running, connect(running.url) as client:
            (session_id,) = session_ids(running)
            await client.send("one")
            await client.send("two")
            await workers.until_numbers(session_id, 2)

            await server.kill()
            await client.send("three")
            assert await client.recv() == "websocket three"
            assert peers[0].request is not None
            assert peers[0].request.headers["X-Wsgw-Session"] == session_id

            await server.start()
            await until(lambda: sample(running, "connected"))
            await workers.reply(session_id, b"late")
            assert await client.recv() == "late"

            await peers[0].close(1012)
            await client.send("four")
            read = workers.messages[session_id]
            await workers.until(lambda: read[-1][0] == 4, "the fourth message")
            texts = {number: msg.data for number, msg in read}
            texts.pop(3, None)  # in case the websocket had not acknowledged it yet
            assert texts == {1: b"one", 2: b"two", 4: b"four"}
            first, second = workers.events[session_id]
            assert (first["reconnect"], first["seen_up_to"]) == (False, 0)
            assert (second["reconnect"], second["seen_up_to"]) == (True, 3)
            await workers.reply(session_id, b"on time")
            assert await client.recv() == "on time"


async def test_full_stream_makes_clients_wait_and_loses_nothing(
    server: NatsServer, workers: Workers
) -> None:
    async with gateway(stream(server)) as running, connect(running.url) as client:
        (session_id,) = session_ids(running)
        await workers.until_told(session_id, "connect")
        await workers.refuse()
        for number in range(50):
            await client.send(str(number))
        await until(lambda: sample(running, "acknowledgements_total", outcome="refused"))
        with pytest.raises(InvalidStatus) as refused:
            await connect(running.url)
        assert refused.value.response.status_code == 502
        await workers.accept()
        assert await workers.until_numbers(session_id, 50) == list(range(1, 51))


async def test_worker_closes_session_after_its_replies(
    server: NatsServer, workers: Workers
) -> None:
    async with gateway(stream(server)) as running, connect(running.url) as client:
        (session_id,) = session_ids(running)
        await workers.reply(session_id, b"last")
        await workers.reply(session_id, b"enough", type="close", code="4001")
        assert await client.recv() == "last"
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")
        told = await workers.until_told(session_id, "disconnect")
        assert (told["code"], told["cause"]) == (4001, "backend ended")


async def test_stopping_gateway_delivers_messages_and_events_first(
    server: NatsServer, workers: Workers
) -> None:
    async with gateway(stream(server)) as running:
        client = await connect(running.url)
        (session_id,) = session_ids(running)
        for number in range(100):
            await client.send(str(number))
        await until(lambda: running.count("nats_published") > 50)
    assert (await workers.until_told(session_id, "disconnect"))["cause"] == "gateway stops"
    read = await workers.until_numbers(session_id, 1)
    assert read == list(range(1, len(read) + 1))
    await client.wait_closed()
