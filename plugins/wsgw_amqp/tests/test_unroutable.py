"""Whole gateways whose messages reach no queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .proxied import proxied
from .test_journeys import Crowd, echo, journey, until
from .workers import Names, Workers

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


async def test_stop_reports_number_of_unstored_messages(
    broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    config: dict[str, Any] = {"limits": {"close-timeout": "1s"}}
    async with journey(broker_url, echo, config=config) as (gateway, workers):
        await workers.unbind()
        async with connect(gateway.url) as client:
            for _ in range(3):
                await client.send("x")
            await until(lambda: gateway.count("amqp_returned"))
            await until(lambda: any(s.unacknowledged == 3 for s in gateway.gateway.sessions))
            await gateway.gateway.stop()

    assert [line for line in caplog.messages if "undelivered" in line and "stopped" in line] == [
        "stopped with 3 client messages undelivered"
    ]


async def test_moves_between_backends_acknowledge_only_stored_messages(
    broker_url: str,
) -> None:
    """One message in the middle is unroutable; others are in flight at each move."""
    direct: set[str] = set()

    async def application(connection: ServerConnection) -> None:
        async for message in connection:
            direct.add(message if isinstance(message, str) else message.decode())

    names, count = Names(), 600
    async with serve(application, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        spare = {"id": "spare", "url": f"ws://127.0.0.1:{port}", "priority": 2}
        keys: dict[str, Any] = {"routing_key": "{kind}", "binding_keys": ["text"]}
        async with (
            journey(broker_url, lambda _: None, spare, names=names, **keys) as (gateway, workers),
            connect(gateway.url) as client,
        ):
            for number in range(count):
                await client.send(b"%d" % number if number == count // 2 else str(number))
                if number % 100 == 50:
                    for session in gateway.gateway.sessions:
                        session.fail_over()
                if number % 10 == 0:
                    await asyncio.sleep(0)
            await until(lambda: all(not s.unacknowledged for s in gateway.gateway.sessions))
            still_open = client.close_code is None

            def everywhere() -> set[str]:
                queued = (m.body.decode() for ms in workers.messages.values() for m in ms)
                return direct | set(queued)

            await until(lambda: len(everywhere()) == count)

    assert still_open
    assert str(count // 2) in direct
    assert everywhere() == {str(number) for number in range(count)}


async def test_session_moved_away_and_back_acknowledges_only_stored_messages(
    broker_url: str,
) -> None:
    """All messages are in flight twice on one channel, and one is unroutable."""
    odd, read = 5, asyncio.Event()
    spared: list[str] = []

    async def mute_for_a_while(connection: ServerConnection) -> None:
        connection.transport.pause_reading()  # no pongs, so no acknowledgements
        await read.wait()
        connection.transport.resume_reading()
        with suppress(ConnectionClosed):  # the first connection was left without a close
            while True:
                message = await connection.recv()
                spared.append(message if isinstance(message, str) else message.decode())

    patient: dict[str, Any] = {"heartbeat": "10m", "confirm_timeout": "10m"}
    kinds: dict[str, Any] = {"routing_key": "{kind}", "binding_keys": ["text"]}
    config = {"failover": {"ping-timeout": "10m"}}
    async with (
        proxied(broker_url) as (proxy, url),
        serve(mute_for_a_while, "127.0.0.1", 0) as server,
    ):
        port = next(iter(server.sockets)).getsockname()[1]
        spare = {"id": "spare", "url": f"ws://127.0.0.1:{port}", "priority": 2}
        async with (
            journey(
                url, lambda _: None, spare, config=config, broker=broker_url, **patient, **kinds
            ) as (gateway, workers),
            gateway.admin_api() as admin,
            connect(gateway.url) as client,
            aiohttp.ClientSession(admin) as operator,
        ):
            (session,) = gateway.gateway.sessions
            failover = f"/session/failover/{session.id}"
            proxy.freeze()
            for number in range(10):
                await client.send(b"%d" % number if number == odd else str(number))
            await until(lambda: gateway.count("amqp_published") == 10)
            assert session.unacknowledged == 10
            for backend in ("spare", "queue"):
                async with operator.post(failover) as answer:
                    assert answer.status == 200
                await until(lambda backend=backend: session.backend_id == backend)  # type: ignore[misc]  # mypy cannot infer it
            await until(lambda: gateway.count("amqp_published") == 20)
            assert session.unacknowledged == 10

            proxy.thaw()
            await until(lambda: session.backend_id == "spare")
            queued = stored(workers)
            await until(lambda: len(queued()) == 9)
            assert str(odd) not in queued()
            assert session.unacknowledged == 10 - odd  # the unroutable one and all after it
            read.set()
            await until(lambda: not session.unacknowledged)

            assert client.close_code is None
            assert gateway.count("amqp_returned") == 2
            assert str(odd) in spared


def stored(workers: Workers) -> Callable[[], set[str]]:
    """Returns a function that returns the texts in the queue so far."""
    return lambda: {m.body.decode() for ms in workers.messages.values() for m in ms}


async def test_unroutable_messages_under_load_are_dropped_and_counted(broker_url: str) -> None:
    async with (
        journey(broker_url, unroutable="discard") as (gateway, workers),
        Crowd(gateway.url, 20) as crowd,
    ):
        await crowd.talk(0.5)
        await workers.unbind()
        await crowd.talk(0.5)
        await until(lambda: all(not s.unacknowledged for s in gateway.gateway.sessions))
        await workers.bind()
        await crowd.talk(0.5)
        dropped = gateway.count("amqp_returned")
        await until(lambda: len(workers.ids) == sum(crowd.sent) - dropped)
        await until(lambda: sum(map(len, crowd.answers)) == len(workers.ids))

        assert dropped >= 20
        assert crowd.all_are_there()
        assert len(gateway.gateway.sessions) == 20
        for number, answers in enumerate(crowd.answers):
            assert answers[-1] == f"re {crowd.expected(number)[-1]}"
            assert answers == sorted(answers, key=lambda text: int(text.split()[2]))


async def test_unroutable_messages_under_load_close_their_sessions(broker_url: str) -> None:
    keys: dict[str, Any] = {"routing_key": "{path.1}", "binding_keys": ["good"]}
    async with (
        journey(broker_url, unroutable="close", **keys) as (gateway, _),
        Crowd(f"{gateway.url}/good", 10) as crowd,
        Crowd(f"{gateway.url}/bad", 10) as lost,
    ):
        talking = asyncio.create_task(crowd.talk(1))
        await asyncio.sleep(0.3)
        for client in lost.clients:
            await client.send("nobody")
        await until(lambda: all(client.close_code is not None for client in lost.clients))
        await talking
        await crowd.until_answered()

        assert {client.close_code for client in lost.clients} == {1011}
        assert crowd.all_are_there()
        assert gateway.count("amqp_returned") == 10
