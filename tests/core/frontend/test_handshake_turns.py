"""Many opening handshakes at once leave time for others in each turn of the event loop."""

from __future__ import annotations

import asyncio
import time

from wsgw_core.api import Handshake, Refusal

from ..websocket.raw_frames import TEXT, frame
from .frontend_bench import TIMEOUT, FrontendBench, RawClient, request

SLOW = 0.002  # seconds, so that there is one of them in each turn of the loop


def crowd(bench: FrontendBench, count: int) -> None:
    """Makes many slow handshakes wait for their turns before any other."""
    for _ in range(count):
        bench.settings.turns.call_in_turn(asyncio.get_running_loop(), lambda: time.sleep(SLOW))


async def ask_behind(bench: FrontendBench, count: int) -> RawClient:
    """Connects a client whose head waits behind a crowd."""
    client = await bench.connect()
    crowd(bench, count)
    client.write(request())
    for _ in range(10):  # turns of the loop, in which the head is read
        await asyncio.sleep(0)
    return client


def dialled(bench: FrontendBench) -> list[str]:
    """Returns the paths of all dials."""
    asked = (*bench.relay.blue.requests, *bench.relay.green.requests)
    return [each.path for each in asked]


async def test_sessions_are_served_while_heads_wait() -> None:
    async with FrontendBench() as bench:
        served = await bench.connect(request())
        await served.read_head()
        newcomer = await ask_behind(bench, 200)
        served.write(frame(TEXT, b"A"))
        await bench.backend.connections[0].until_received(1)
        assert len(dialled(bench)) == 1, "the newcomer still waits"
        assert (await newcomer.read_head())[0] == 101


async def test_heads_are_processed_in_the_order_of_their_arrival() -> None:
    async with FrontendBench() as bench:
        clients = [await bench.connect() for _ in range(20)]
        crowd(bench, 50)
        for number, client in enumerate(clients):
            client.write(request(line=f"GET /{number} HTTP/1.1"))
            await asyncio.sleep(0.001)
        for client in clients:
            assert (await client.read_head())[0] == 101
        evens = [f"/{number}" for number in range(0, 20, 2)]
        odds = [f"/{number}" for number in range(1, 20, 2)]
        assert dialled(bench) == evens + odds, "two backends, one after the other"


async def test_gates_that_take_long_decide_one_at_a_time() -> None:
    decided = 0

    class SlowGate:
        def admit(self, _: Handshake) -> Refusal:
            nonlocal decided
            decided += 1
            time.sleep(0.006)  # as for a signature that is tried with many keys
            return Refusal(403)

    async with FrontendBench(gates=[SlowGate()]) as bench:
        clients = [await bench.connect() for _ in range(60)]
        for client in clients:
            client.write(request())
        in_turns = []
        async with asyncio.timeout(TIMEOUT):
            while decided < len(clients):
                before = decided
                await asyncio.sleep(0)
                in_turns.append(decided - before)
        assert sum(count > 1 for count in in_turns) <= 2, "the first turn cannot know"


async def test_a_client_that_leaves_before_its_turn_causes_no_dial() -> None:
    async with FrontendBench() as bench:
        abandoned = bench.relay.counters.handshakes_abandoned
        client = await ask_behind(bench, 100)
        client.writer.transport.abort()
        async with asyncio.timeout(TIMEOUT):
            while not abandoned.value:  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0)
        done = asyncio.Event()
        bench.settings.turns.call_in_turn(asyncio.get_running_loop(), done.set)
        await asyncio.wait_for(done.wait(), TIMEOUT)
        await asyncio.sleep(0)
        assert not dialled(bench)


async def test_a_gateway_that_stops_answers_503_before_the_turn() -> None:
    async with FrontendBench() as bench:
        client = await ask_behind(bench, 100)
        closing = asyncio.create_task(bench.frontend.close(TIMEOUT))
        assert (await client.read_refusal())[0] == 503
        client.writer.close()
        await closing
        assert not dialled(bench)
