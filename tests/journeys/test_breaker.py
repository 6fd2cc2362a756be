"""One client cannot trip a backend's breaker for others; breakers alone refuse no client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from wsgw_core.pool.backends.backend_pool import PooledBackend
from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartBackend, StartGateway, StartRaw
from .eventually import until
from .raw_backend import TEXT, RawBackend, RawPeer, frame
from .scripted_backend import ScriptedBackend

# Which backend counts as failed does not depend on the event loop.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


def pooled(gateway: RunningGateway, backend: ScriptedBackend | RawBackend) -> PooledBackend:
    found = gateway.gateway.pool.find("127-0-0-1-" + backend.url.rpartition(":")[2])
    assert found is not None
    return found


async def echo(connection: ServerConnection) -> None:
    """Answer each message, but fail at two of them, like a faulty application."""
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            if message == "raise":
                await connection.close(1011)
            if message == "abort":
                connection.transport.abort()
            await connection.send(message)


@asynccontextmanager
async def serving(*backends: ScriptedBackend) -> AsyncIterator[None]:
    """Have backends `echo` until the end of the block."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(backend: ScriptedBackend) -> None:
        while True:
            task = asyncio.create_task(echo(await backend.connection()))
            connections.add(task)
            task.add_done_callback(connections.discard)

    servers = [asyncio.create_task(serve(backend)) for backend in backends]
    try:
        yield
    finally:
        for task in (*servers, *connections):
            task.cancel()
        await asyncio.gather(*servers, *connections, return_exceptions=True)


async def is_served(url: str) -> bool:
    """Return whether a new client gets its answer."""
    try:
        async with connect(url, open_timeout=60) as client:
            await client.send("hello")
            return await client.recv() == "hello"
    except (InvalidHandshake, ConnectionClosed):
        return False


@asynccontextmanager
async def attackers(count: int, attack: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Run this many attackers in a loop until the end of the block."""

    async def loop() -> None:
        while True:
            await attack()

    tasks = [asyncio.create_task(loop()) for _ in range(count)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in found), found


@pytest.mark.slow
@pytest.mark.parametrize("message", ["raise", "abort"])
async def test_clients_that_crash_the_application_do_not_trip_a_proven_backend(
    start_gateway: StartGateway, start_backend: StartBackend, message: str
) -> None:
    backends = [await start_backend() for _ in range(3)]
    gateway = await start_gateway(*backends, limits={"close-timeout": "100ms"})
    attacks = 0

    async def attack() -> None:
        nonlocal attacks
        async with connect(gateway.url) as client:
            await client.send(message)
            await asyncio.sleep(0.1)
        attacks += 1

    async def check(client: ClientConnection, number: int) -> None:
        await client.send(f"{number}")
        assert await client.recv() == f"{number}"

    async with serving(*backends):
        established = [await connect(gateway.url) for _ in range(60)]
        # Each backend has answered some: it is proven, and lost sessions do not count against it.
        await asyncio.gather(*(check(each, n) for n, each in enumerate(established)))
        async with attackers(8, attack):
            served = [await is_served(gateway.url) for _ in range(25)]
            await backends[2].down()
            served += [await is_served(gateway.url) for _ in range(25)]
            await asyncio.gather(*(check(each, n) for n, each in enumerate(established)))
            await until(lambda: attacks >= 30 and gateway.count("failovers") >= 60 + 30)
        assert served == [True] * 50
        assert [each.close_code for each in established] == [None] * 60
        assert [pooled(gateway, each).breaker.trips for each in backends[:2]] == [0, 0]
        await asyncio.gather(*(each.close() for each in established))


@pytest.mark.slow
@pytest.mark.parametrize("message", ["raise", "abort"])
async def test_clients_that_crash_the_application_do_not_trip_an_unproven_backend(
    start_gateway: StartGateway, start_backend: StartBackend, message: str
) -> None:
    backends = [await start_backend() for _ in range(2)]
    gateway = await start_gateway(*backends, limits={"close-timeout": "100ms"})

    async def attack() -> None:
        async with connect(gateway.url) as client:
            await client.send(message)
            await asyncio.sleep(0.1)

    async with serving(*backends):
        for _ in range(12):
            await attack()
        async with attackers(8, attack):
            served = [await is_served(gateway.url) for _ in range(50)]
    assert served == [True] * 50


UNUSABLE = {
    "/proxied": "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
    "/unoffered": "",  # a 101
    "/failing": "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
}


async def answer_unusably(peer: RawPeer) -> None:
    await peer.write(UNUSABLE[peer.path] or peer.switching("Sec-WebSocket-Protocol: unoffered"))


@pytest.mark.parametrize("path", UNUSABLE)
async def test_path_with_unusable_answers_does_not_trip_a_backend(
    start_gateway: StartGateway, start_raw: StartRaw, path: str
) -> None:
    backends = [await start_raw(answer_unusably, *UNUSABLE) for _ in range(2)]
    gateway = await start_gateway(*(each.entry() for each in backends))
    refused = 0

    async def attack() -> None:
        nonlocal refused
        with pytest.raises(InvalidStatus) as caught:
            await connect(gateway.url + path)
        assert caught.value.response.status_code == 502
        refused += 1

    for _ in range(10):
        await attack()
    async with attackers(4, attack):
        served = [await is_served(gateway.url) for _ in range(50)]
        await until(lambda: refused >= 30)
    assert served == [True] * 50


async def never_answer(_peer: RawPeer) -> None:
    await asyncio.Event().wait()


async def test_path_that_never_answers_leaves_dials_for_other_clients(
    start_gateway: StartGateway, start_raw: StartRaw
) -> None:
    backend = await start_raw(never_answer, "/silent")
    gateway = await start_gateway(
        backend.entry(), failover={"hedge-after": "200ms", "dial-timeout": "2m"}
    )

    async def wait_in_vain() -> None:
        await connect(gateway.url + "/silent", open_timeout=None)

    async with attackers(300, wait_in_vain):
        await until(lambda: gateway.gateway.waiting_dials >= 190)
        served = [await is_served(gateway.url) for _ in range(20)]
        assert gateway.count("handshakes_refused") == 0  # all the others still wait
    assert served == [True] * 20


async def publish_once(url: str) -> None:
    """Behave like an MQTT client that publishes a single message."""
    async with connect(url) as client:
        for content in ("CONNECT", "PUBLISH"):
            await client.send(content)
            assert await client.recv() == f"{content} acknowledged"
        await client.send("DISCONNECT")


async def play_a_broker(peer: RawPeer) -> None:
    """Answer each message, and drop the connection when the client says goodbye."""
    await peer.write(peer.switching())
    while (message := await peer.read_message()) != b"DISCONNECT":
        await peer.write(frame(TEXT, message + b" acknowledged"))


async def test_short_served_sessions_do_not_trip_a_broker(
    start_gateway: StartGateway, start_raw: StartRaw
) -> None:
    brokers = [await start_raw(play_a_broker, "/") for _ in range(2)]
    urls = [each.url for each in brokers]
    gateway = await start_gateway(*urls, limits={"close-timeout": "100ms"})
    for _ in range(40):
        await publish_once(gateway.url)
    assert [pooled(gateway, each).breaker.trips for each in brokers] == [0, 0]


async def test_first_returning_backend_serves_although_all_are_tripped(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backends = [await start_backend() for _ in range(2)]
    gateway = await start_gateway(*backends, failover={"hold": "90s"})
    async with serving(*backends), connect(gateway.url) as established:
        for backend in backends:
            await backend.down()
        for _ in range(20):
            assert not await is_served(gateway.url)
        assert all(pooled(gateway, each).breaker.tripped for each in backends)
        await established.send("1")
        await backends[1].up()
        assert await is_served(gateway.url)
        assert await established.recv() == "1"
    assert not pooled(gateway, backends[1]).breaker.tripped


async def test_many_clients_are_served_while_all_backends_are_tripped(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backends = [await start_backend() for _ in range(2)]
    gateway = await start_gateway(*backends)
    async with serving(*backends):
        for backend in backends:
            tripped = pooled(gateway, backend)
            while not tripped.breaker.tripped:
                tripped.failed(asyncio.get_running_loop().time(), "test")
        assert all(await asyncio.gather(*(is_served(gateway.url) for _ in range(200))))
