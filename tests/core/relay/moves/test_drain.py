"""A drain moves the sessions of its backend at a steady rate, and no others."""

from __future__ import annotations

import asyncio
import logging

import pytest

from wsgw_core.api import Close
from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.pool.backends.backend_pool import PooledBackend
from wsgw_core.relay.all_sessions.close_all import close_all_sessions
from wsgw_core.relay.moves.drain import Drain, Drains
from wsgw_core.relay.session.session import Session
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import Accept, FakeBackend, FakeClient, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench

RATE = 10


class DrainBench(RelayBench):
    """Many sessions, alternately on two backends."""

    def __init__(self) -> None:
        super().__init__(
            FakeBackend("blue"), FakeBackend("green"), drain=DrainOptions(quiet=0.1, patience=5)
        )
        self.sessions: list[Session] = []
        self.clients: list[FakeClient] = []

    async def fill(self, count: int) -> DrainBench:
        for number in range(count):
            session = Session(f"session-{number}", self.handshake, self.context)
            await session.open()
            self.clients.append(FakeClient())
            session.start(self.clients[-1])
            self.sessions.append(session)
        return self

    def drain(self, *, rate: float = RATE) -> Drain:
        self.pooled[0].enabled = False
        return Drain(self.pooled[0], self.pool, self.table, asyncio.get_running_loop(), rate)

    @property
    def left(self) -> int:
        return sum(session.backend_id == "blue" for session in self.sessions)


@on_virtual_clock
async def test_sessions_move_at_the_rate(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = await DrainBench().fill(40)
    assert bench.left == 20
    bench.drain()
    await asyncio.sleep(1)
    assert 20 - RATE - 1 <= bench.left <= 20 - RATE + 2
    await asyncio.sleep(1.5)
    assert bench.left == 0
    assert bench.pooled[1].active == 40
    assert bench.counters.moves.value == 20
    assert not any(client.closes for client in bench.clients)
    await asyncio.sleep(1)
    assert [each.getMessage() for each in caplog.records].count("backend blue: drained") == 1


@pytest.mark.parametrize("rate", [0.5, 1000])
@on_virtual_clock
async def test_each_rate_is_kept(rate: float) -> None:
    bench = await DrainBench().fill(20)
    bench.drain(rate=rate)
    await asyncio.sleep(10 / rate + 0.3)
    assert bench.left == 0 if rate > 1 else 0 <= bench.left <= 1


@on_virtual_clock
async def test_a_session_that_cannot_move_yet_is_tried_again() -> None:
    bench = await DrainBench().fill(2)
    bench.blue.connections[0].drop()  # on the way to the other one
    bench.green.otherwise = bench.blue.otherwise
    bench.drain()
    await asyncio.sleep(3)
    assert bench.left == 0


@on_virtual_clock
async def test_sessions_stay_while_no_other_backend_is_usable() -> None:
    bench = await DrainBench().fill(10)
    bench.pooled[1].enabled = False
    bench.drain()
    await asyncio.sleep(20)
    assert bench.left == 5
    bench.pooled[1].enabled = True
    await asyncio.sleep(3)
    assert bench.left == 0


@on_virtual_clock
async def test_a_drain_is_over_when_a_removed_backend_has_no_session() -> None:
    bench = await DrainBench().fill(4)
    drain = bench.drain()
    bench.pooled[0].removed = True
    await asyncio.sleep(0.01)
    assert not drain.is_over
    await asyncio.sleep(3)
    assert bench.left == 0
    assert drain.is_over


@pytest.mark.parametrize("how", ["stopped", "enabled"])
@on_virtual_clock
async def test_stopping_a_drain_or_enabling_its_backend_ends_the_drain(how: str) -> None:
    bench = await DrainBench().fill(40)
    drain = bench.drain()
    await asyncio.sleep(1)
    if how == "stopped":
        drain.stop()
    else:
        bench.pooled[0].enabled = True
    await asyncio.sleep(10)
    assert drain.is_over
    assert 8 <= bench.left <= 12


def drains_of(bench: DrainBench) -> Drains:
    return Drains(bench.pool, bench.table, lambda: RATE)


@on_virtual_clock
async def test_a_backend_is_drained_when_sessions_it_kept_over_a_reload_have_moved(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    bench = await DrainBench().fill(20)
    before = bench.pooled[0]
    bench.pool.remove(before)
    reloaded = PooledBackend("blue", FakeBackend("blue"))
    bench.pool.add(reloaded)
    drains = drains_of(bench)
    assert drains.begin(reloaded)
    await asyncio.sleep(0.5)
    assert before.active > 0
    assert "blue: drained" not in caplog.text
    await asyncio.sleep(3)
    assert bench.left == 0
    assert [each.getMessage() for each in caplog.records].count("backend blue: drained") == 1
    drains.stop()


@on_virtual_clock
async def test_a_drain_of_a_reloaded_backend_takes_over_the_drain_of_its_earlier_version() -> None:
    bench = await DrainBench().fill(40)
    before, drains = bench.pooled[0], drains_of(bench)
    assert drains.begin(before)
    bench.pool.remove(before)
    reloaded = PooledBackend("blue", FakeBackend("blue"))
    bench.pool.add(reloaded)
    assert drains.begin(reloaded)
    assert not drains.begin(reloaded)
    await asyncio.sleep(1)
    assert 20 - RATE - 1 <= bench.left <= 20 - RATE + 2  # not at twice the rate
    drains.call_off(reloaded)
    left = bench.left
    await asyncio.sleep(3)
    assert bench.left == left
    drains.stop()


@on_virtual_clock
async def test_enabling_the_backend_keeps_sessions_that_wait_until_they_are_quiet() -> None:
    bench = await DrainBench().fill(20)
    drains = drains_of(bench)
    for session in bench.sessions:
        session.client_message(as_message("A"))  # is not acknowledged, so none can move
    drains.begin(bench.pooled[0])
    await asyncio.sleep(3)
    waiting = [each for each in bench.sessions if each.state is State.SETTLING]
    assert len(waiting) == 10
    drains.call_off(bench.pooled[0])
    assert all(each.state is State.RELAYING for each in bench.sessions)
    assert bench.counters.moves_called_off.value == 10
    for connection in bench.blue.connections:
        connection.acknowledge()
    await asyncio.sleep(20)
    assert bench.left == 10
    assert bench.counters.moves.value == 0
    for each in waiting:
        each.client_message(as_message("B"))
    assert all(connection.texts[-1] == "B" for connection in bench.blue.connections)

    for connection in bench.blue.connections:
        connection.acknowledge()
    drains.begin(bench.pooled[0])
    await asyncio.sleep(3)
    assert bench.left == 0
    drains.stop()


@on_virtual_clock
async def test_enabling_a_backend_keeps_no_session_of_another_one() -> None:
    bench = await DrainBench().fill(2)
    staying, moving = bench.sessions
    assert staying.move()
    assert moving.move()
    drains_of(bench).call_off(bench.pooled[0])
    await asyncio.sleep(10)
    assert (staying.backend_id, staying.reconnects) == ("blue", 0)
    assert (moving.backend_id, moving.reconnects) == ("blue", 1)


@on_virtual_clock
async def test_enabling_the_backend_calls_off_neither_last_steps_nor_other_moves() -> None:
    bench = await DrainBench().fill(4)
    drains = drains_of(bench)
    blue, green = bench.pooled
    leaving, hurried, staying, returning = bench.sessions
    for connection in bench.blue.connections:
        connection.answer_close = False
    drains.begin(blue)
    await bench.blue.connections[0].until_close_requested()
    drains.call_off(blue)
    assert (leaving.state, staying.state) == (State.LEAVING, State.RELAYING)
    await asyncio.sleep(10)
    assert (leaving.backend_id, staying.backend_id) == ("green", "blue")

    bench.blue.otherwise = Accept(after=2)
    assert hurried.fail_over()
    await asyncio.sleep(1)  # messages are sent again
    assert returning.move(lambda backend: backend is blue)
    drains.call_off(green)
    assert hurried.state is returning.state is State.SETTLING
    await asyncio.sleep(10)
    assert (hurried.reconnects, returning.backend_id) == (1, "blue")

    staying.client_message(as_message("not acknowledged"))
    drains.begin(blue)
    await asyncio.sleep(5.2)  # all patience, and some of the last step
    drains.call_off(blue)
    assert staying.state is State.SETTLING
    await asyncio.sleep(10)
    assert staying.backend_id == "green"


class TestCloseAll:
    @on_virtual_clock
    async def test_clients_are_closed_evenly(self) -> None:
        bench = await DrainBench().fill(10)
        told = asyncio.create_task(
            close_all_sessions(bench.table, 1012, "stopping", over=10, answer_timeout=5)
        )
        for second in range(10):
            await idle()
            assert sum(bool(client.closes) for client in bench.clients) == second + 1
            await asyncio.sleep(1)
        await told
        assert all(client.closed == Close(1012, "stopping") for client in bench.clients)

    @on_virtual_clock
    async def test_a_single_client_is_closed_at_once(self) -> None:
        bench = await DrainBench().fill(1)
        await close_all_sessions(bench.table, 1012, "stopping", over=10, answer_timeout=5)
        assert asyncio.get_running_loop().time() == 0

    @on_virtual_clock
    async def test_closing_ends_when_all_clients_have_left_by_themselves(self) -> None:
        bench = await DrainBench().fill(10)
        told = asyncio.create_task(
            close_all_sessions(bench.table, 1012, "stopping", over=100, answer_timeout=5)
        )
        await asyncio.sleep(11)
        for session in bench.sessions:
            session.client_closed(Close(1000))
        await idle()
        assert not len(bench.table)
        await told
        assert asyncio.get_running_loop().time() < 21

    @on_virtual_clock
    async def test_a_session_added_meanwhile_is_closed_too(self) -> None:
        bench = await DrainBench().fill(2)
        told = asyncio.create_task(
            close_all_sessions(bench.table, 1012, "stopping", over=10, answer_timeout=5)
        )
        await asyncio.sleep(1)
        await bench.fill(1)
        await told
        assert all(client.closes for client in bench.clients)
