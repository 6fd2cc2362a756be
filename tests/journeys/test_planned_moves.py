"""Draining a backend or stopping the gateway loses no message."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .conftest import StartBackend, StartGateway
from .eventually import until
from .scripted_backend import ScriptedBackend
from .server_process import ServerProcess

CLIENTS = 12
DRAIN = {"rate": 20, "quiet": "150ms", "patience": "10s"}


class Answering:
    """Answers each message after a while, and records the messages."""

    def __init__(self, backend: ScriptedBackend) -> None:
        self.received: Counter[str] = Counter()
        self._backend = backend
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    async def _accept(self) -> None:
        while True:
            task = asyncio.create_task(self._answer(await self._backend.connection()))
            self._tasks.add(task)

    async def _answer(self, connection: ServerConnection) -> None:
        try:
            async for message in connection:
                assert isinstance(message, str)
                self.received[message] += 1
                await asyncio.sleep(0.02)
                await connection.send(f"answer to {message}")
        except ConnectionClosed:
            pass

    def stop(self) -> None:
        for task in (self._accepting, *self._tasks):
            task.cancel()


class Asking:
    """A client that asks again some time after each answer."""

    def __init__(self, name: str) -> None:
        self.asked = 0
        self.closed: int | None = None
        self._name = name
        self._stopped = False

    async def run(self, url: str) -> None:
        async with connect(url, compression=None, ping_interval=None) as client:
            try:
                while not self._stopped:
                    question = f"{self._name} {self.asked}"
                    await client.send(question)
                    self.asked += 1
                    assert await client.recv() == f"answer to {question}"
                    await asyncio.sleep(0.3)
            except ConnectionClosed:
                self.closed = client.close_code

    def stop(self) -> None:
        self._stopped = True


@pytest.mark.slow
async def test_drain_moves_all_sessions_without_loss_or_duplicates(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway(blue, green, drain=DRAIN)
    answering = [Answering(blue), Answering(green)]
    clients = [Asking(f"c{number}") for number in range(CLIENTS)]
    running = [asyncio.create_task(client.run(gateway.url)) for client in clients]
    await until(lambda: all(client.asked > 1 for client in clients))

    assert gateway.gateway.drain(blue.id)
    assert not gateway.gateway.drain(blue.id)
    await until(
        lambda: (
            all(session.backend_id == green.id for session in gateway.gateway.sessions)
            and gateway.count("moves") == CLIENTS // 2
        )
    )
    marks = [client.asked for client in clients]
    await until(
        lambda: all(client.asked > mark + 1 for client, mark in zip(clients, marks, strict=True))
    )
    for client in clients:
        client.stop()
    await asyncio.gather(*running)
    for each in answering:
        each.stop()

    received = answering[0].received + answering[1].received
    assert len(received) == sum(client.asked for client in clients)  # nothing is lost
    assert set(received.values()) == {1}  # nothing is duplicated
    assert gateway.count("failovers") == gateway.count("replayed_messages") == 0
    assert all(client.closed is None for client in clients)


async def test_drained_backend_gets_no_new_client(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway(blue, green, drain=DRAIN)
    gateway.gateway.drain(blue.id)
    for _ in range(3):
        async with connect(gateway.url):
            await green.connection()
    assert blue.accepted == 0
    with pytest.raises(KeyError):
        gateway.gateway.drain("unknown")


async def test_stopping_gateway_refuses_clients_and_closes_the_others_in_turn(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(
        backend, server={"frontend": {"address": "127.0.0.1:0"}, "drain-time": "3s"}
    )
    clients = [await connect(gateway.url) for _ in range(4)]
    readiness = [gateway.gateway.ready]
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def note_the_end(wait: Callable[[], Awaitable[None]]) -> None:
        await wait()
        times.append(loop.time())

    ends = [asyncio.create_task(note_the_end(client.wait_closed)) for client in clients]
    stopping = asyncio.create_task(gateway.gateway.stop())
    await asyncio.sleep(0)
    readiness.append(gateway.gateway.ready)
    with pytest.raises(InvalidStatus) as refused:
        await connect(gateway.url)
    assert refused.value.response.status_code == 503
    await stopping
    await asyncio.gather(*ends)

    assert readiness == [True, False]
    assert [client.close_code for client in clients] == [1012] * 4
    assert times[-1] - times[0] > 0.5  # closed at 0, 0.75, 1.5 and 2.25 s


async def test_message_sent_during_the_close_reaches_the_backend(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend)
    async with connect(gateway.url) as client:
        served = await backend.connection()
        client.transport.pause_reading()  # it does not see the close for a while
        stopping = asyncio.create_task(gateway.gateway.stop())
        await asyncio.sleep(0.1)
        await client.send("still here")
        assert await served.recv() == "still here"
        client.transport.resume_reading()
        await stopping
        await served.wait_closed()
    assert client.close_code == 1012
    assert served.close_code == 1001
    assert gateway.count("undelivered_messages") == 0


@pytest.mark.asyncio(loop_factories=["asyncio"])  # the process has its own event loop
@pytest.mark.parametrize("patient", [True, False])
async def test_first_signal_drains_and_second_signal_stops_at_once(
    backend: ScriptedBackend, *, patient: bool
) -> None:
    variables = {
        "BE_URLS": backend.url,
        "FE_ADDR": "127.0.0.1:0",
        "WSGW_SERVER__DRAIN_TIME": "3s" if patient else "100s",
    }
    with ServerProcess("wsgw_core.cli.main", "run", variables=variables) as gateway:
        await gateway.start()
        url = f"ws://127.0.0.1:{gateway.port}"
        clients = [await connect(url) for _ in range(3)]
        gateway.signal(signal.SIGTERM)
        await clients[0].wait_closed()
        with pytest.raises(InvalidStatus) as refused:
            await connect(url)
        assert refused.value.response.status_code == 503
        if not patient:
            gateway.signal(signal.SIGTERM)
        status = await gateway.ended()
        await asyncio.gather(*(client.wait_closed() for client in clients))

    assert status == (0 if patient else -signal.SIGTERM)
    codes = sorted(client.close_code or 0 for client in clients)
    assert codes == ([1012, 1012, 1012] if patient else [1006, 1006, 1012])


async def test_operator_failover_delivers_each_message_exactly_once(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backends = [await start_backend(), await start_backend()]
    answering = [
        Answering(backend) for backend in backends
    ]  # each ends at an answer that cannot be sent
    # It waits for the acknowledgement, not for the answers: on a busy machine they are slow.
    entries = [{"url": each.url, "ack-interval": "2s"} for each in backends]
    gateway = await start_gateway(*entries, drain={"step": "20s"})
    async with connect(gateway.url) as client:
        asked = [f"question {number}" for number in range(12)]
        for each in asked:
            await client.send(each)
        await until(lambda: sum(len(one.received) for one in answering) > 0)
        (session,) = gateway.gateway.sessions
        assert session.fail_over()
        answers = [await client.recv() for _ in asked]
        assert answers == [f"answer to {each}" for each in asked]
        await until(lambda: session.reconnects == 1)
    received = answering[0].received + answering[1].received
    assert received == Counter(asked)
    for one in answering:
        one.stop()
