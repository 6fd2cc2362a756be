"""Backends whose application is busy with a message and answers no ping meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from websockets.asyncio.client import ClientConnection, connect

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartAdmin, StartGateway
from .eventually import until

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

_WORK = 4.0  # seconds
_TIMEOUT = {"ping-timeout": "2500ms"}  # a check of a busy backend may take 1 s
END_TO_END = {"frontend": {"address": "127.0.0.1:0", "keepalive": "end-to-end"}}


class Workshop:
    """An application of aiohttp, which answers pings only while its handler reads.

    It echoes, but works for a while at each message that begins with "work", and tells how far it
    is when the message is "work aloud".

    Attributes:
        done: how often each message was executed.
        closed: the code of each connection that ended, in order.
        port: where it listens.
    """

    port: int

    def __init__(self, name: str) -> None:
        self.name = name
        self.done: Counter[str] = Counter()
        self.closed: list[int | None] = []

    @property
    def entry(self) -> dict[str, Any]:
        return {"id": self.name, "url": f"ws://127.0.0.1:{self.port}"}

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        async for message in websocket:
            if message.type is not WSMsgType.TEXT:
                break
            self.done[message.data] += 1
            if message.data.startswith("work aloud"):
                for _ in range(30):
                    await asyncio.sleep(_WORK / 30)
                    await websocket.send_str("so far")
            elif message.data.startswith("work"):
                await asyncio.sleep(_WORK)
            await websocket.send_str(message.data)
        self.closed.append(websocket.close_code)
        return websocket


@asynccontextmanager
async def workshop(name: str) -> AsyncIterator[Workshop]:
    shop = Workshop(name)
    application = web.Application()
    application.router.add_get("/{path:.*}", shop.serve)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        shop.port = runner.addresses[0][1]
        yield shop
    finally:
        await runner.cleanup()


@pytest.fixture
async def shops() -> AsyncIterator[list[Workshop]]:
    """Two of them; a test names this before `start_gateway`, so that gateways are stopped first."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(workshop(name)) for name in ("blue", "green")]


async def ask(client: ClientConnection, text: str) -> str | bytes:
    """Return the answer to a message, behind what is told on the way to it."""
    await client.send(text)
    while (answer := await client.recv()) == "so far":
        pass
    return answer


def executions(shops: list[Workshop]) -> Counter[str]:
    return sum((shop.done for shop in shops), Counter())


def no_session_was_disturbed(gateway: RunningGateway) -> bool:
    unwanted = ("failovers", "ws_busy_timeouts", "ws_missing_pongs", "undelivered_messages")
    return not any(map(gateway.count, unwanted))


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
@pytest.mark.parametrize("text", ["work", "work aloud"])
@pytest.mark.parametrize("backends", [1, 2])
async def test_long_work_is_done_once_and_other_clients_are_not_affected(
    shops: list[Workshop], start_gateway: StartGateway, text: str, backends: int, *, used: bool
) -> None:
    gateway = await start_gateway(*(shop.entry for shop in shops[:backends]), failover=_TIMEOUT)
    if used:
        async with connect(gateway.url) as client:
            assert await ask(client, "before") == "before"
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(connect(gateway.url)) for _ in range(3)]
        works = asyncio.gather(
            *(ask(worker, f"{text} {number}") for number, worker in enumerate(workers))
        )
        for number in itertools.count():
            async with connect(gateway.url, open_timeout=5) as other:  # no client is refused
                assert await ask(other, f"other {number}") == f"other {number}"
            await asyncio.sleep(0.05)
            if works.done():
                break
        assert await works == [f"{text} {number}" for number in range(3)]
        for number, worker in enumerate(workers):
            assert await ask(worker, f"after {number}") == f"after {number}"
    assert set(executions(shops).values()) == {1}
    assert no_session_was_disturbed(gateway)
    assert gateway.count("ws_liveness_checks_failed") == 0


async def test_work_on_an_idle_connection_with_ping_time_is_done_once(
    shops: list[Workshop], start_gateway: StartGateway
) -> None:
    entries = [{**shop.entry, "ping-time": "200ms"} for shop in shops]
    gateway = await start_gateway(*entries, failover=_TIMEOUT)
    async with connect(gateway.url) as client:
        assert await ask(client, "work") == "work"
    assert executions(shops) == {"work": 1}
    assert no_session_was_disturbed(gateway)


async def test_work_of_a_client_that_leaves_is_done_once(
    shops: list[Workshop], start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(*(shop.entry for shop in shops), failover=_TIMEOUT)
    async with connect(gateway.url) as client:
        for text in ("work", "and this"):
            await client.send(text)
        await client.close(4000, "that was all")
    await until(lambda: any(shop.closed for shop in shops))
    assert executions(shops) == {"work": 1, "and this": 1}
    assert [code for shop in shops for code in shop.closed] == [4000]
    assert no_session_was_disturbed(gateway)


async def test_messages_to_a_busy_backend_stay_within_ledger_limit_and_arrive_once(
    shops: list[Workshop], start_gateway: StartGateway
) -> None:
    size, count = 16 * 1024, 400
    gateway = await start_gateway(
        *(shop.entry for shop in shops), failover=_TIMEOUT, limits={"ledger-bytes": "256KiB"}
    )
    async with connect(gateway.url, max_queue=None) as client:
        await client.send("work")

        async def send() -> None:
            for number in range(count):
                await client.send(f"{number:{size}}")

        sending = asyncio.create_task(send())
        await asyncio.sleep(_WORK * 0.8)
        [session] = gateway.gateway.sessions
        assert session.unacknowledged <= 2 * 256 * 1024 // size  # plus what one read brings
        assert await client.recv() == "work"
        assert [int(await client.recv()) for _ in range(count)] == list(range(count))
        await sending
    assert set(executions(shops).values()) == {1}
    assert no_session_was_disturbed(gateway)


async def test_drained_session_waits_for_the_answer_of_a_busy_backend(
    shops: list[Workshop], start_gateway: StartGateway, start_admin: StartAdmin
) -> None:
    blue, green = shops
    gateway = await start_gateway(blue.entry, failover=_TIMEOUT, drain={"quiet": "100ms"})
    operator = await start_admin(gateway)
    async with connect(gateway.url) as client:
        await client.send("work")
        await until(lambda: blue.done)
        await operator.post("/backend/add", json=green.entry)
        await operator.post("/backend/drain/blue")
        assert await client.recv() == "work"
        await until(lambda: blue.closed)
        assert await ask(client, "after") == "after"
    assert blue.done == {"work": 1}
    assert green.done == {"after": 1}


async def test_end_to_end_ping_is_answered_after_the_work(
    shops: list[Workshop], start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(
        *(shop.entry for shop in shops), failover=_TIMEOUT, server=END_TO_END
    )
    async with connect(gateway.url, ping_interval=None) as client:
        await client.send("work")
        pong = await client.ping()
        assert await client.recv() == "work"
        await pong
    assert executions(shops) == {"work": 1}
    assert no_session_was_disturbed(gateway)


async def test_backend_over_the_busy_timeout_loses_only_that_session(
    shops: list[Workshop], start_gateway: StartGateway
) -> None:
    blue, green = shops
    gateway = await start_gateway(
        blue.entry,
        {**green.entry, "priority": 2},
        failover={"ping-timeout": "1500ms", "busy-timeout": "2500ms"},
        limits={"close-timeout": "1s"},
    )
    async with connect(gateway.url) as other, connect(gateway.url) as client:
        assert await ask(other, "other") == "other"
        await client.send("work")
        await until(lambda: green.done["work"])
        assert gateway.count("failovers") == gateway.count("ws_busy_timeouts") == 1
        assert gateway.count("ws_liveness_checks")
        assert await ask(other, "still there") == "still there"
    assert blue.done == {"other": 1, "work": 1, "still there": 1}
