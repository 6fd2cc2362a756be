"""The sessions of one backend move, at a steady rate, while others stay."""

from __future__ import annotations

import asyncio
import logging

import pytest

from wsgw_core.api import Close
from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.relay.dismissal import dismiss_all
from wsgw_core.relay.drain import Drain
from wsgw_core.relay.session import Session
from wsgw_core.testing.fakes import FakeBackend, FakeClient
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from .relay_bench import RelayBench

RATE = 10


class DrainBench(RelayBench):
    """Many sessions, in turn on two backends."""

    def __init__(self) -> None:
        super().__init__(
            FakeBackend("blue"), FakeBackend("green"), drain=DrainOptions(quiet=0.1, patience=5)
        )
        self.sessions: list[Session] = []
        self.clients: list[FakeClient] = []

    async def fill(self, count: int) -> DrainBench:
        for number in range(count):
            session = Session(f"session-{number}", self.handshake, self.environment)
            await session.open()
            self.clients.append(FakeClient())
            session.start(self.clients[-1])
            self.sessions.append(session)
        return self

    def drain(self, *, rate: float = RATE) -> Drain:
        self.pooled[0].enabled = False
        return Drain(
            self.pooled[0],
            self.table,
            asyncio.get_running_loop(),
            rate,
            others_usable=lambda: self.pooled[1].enabled,
            logger=logging.getLogger("wsgw.test"),
        )

    @property
    def left(self) -> int:
        return sum(session.backend_id == "blue" for session in self.sessions)


@on_virtual_clock
async def test_they_move_at_the_rate(caplog: pytest.LogCaptureFixture) -> None:
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
async def test_any_rate_will_do(rate: float) -> None:
    bench = await DrainBench().fill(20)
    bench.drain(rate=rate)
    await asyncio.sleep(10 / rate + 0.3)
    assert bench.left == 0 if rate > 1 else 0 <= bench.left <= 1


@on_virtual_clock
async def test_who_cannot_move_yet_is_asked_again() -> None:
    bench = await DrainBench().fill(2)
    bench.blue.connections[0].drop()  # on the way to the other one
    bench.green.otherwise = bench.blue.otherwise
    bench.drain()
    await asyncio.sleep(3)
    assert bench.left == 0


@on_virtual_clock
async def test_while_nobody_else_is_there_they_stay() -> None:
    bench = await DrainBench().fill(10)
    bench.pooled[1].enabled = False
    bench.drain()
    await asyncio.sleep(20)
    assert bench.left == 5
    bench.pooled[1].enabled = True
    await asyncio.sleep(3)
    assert bench.left == 0


@on_virtual_clock
async def test_it_is_over_when_a_backend_that_was_removed_serves_nobody() -> None:
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
async def test_it_can_be_called_off(how: str) -> None:
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


class TestDismissal:
    @on_virtual_clock
    async def test_clients_are_closed_evenly(self) -> None:
        bench = await DrainBench().fill(10)
        told = asyncio.create_task(
            dismiss_all(bench.table, asyncio.get_running_loop(), 1012, "stopping", over=10)
        )
        for second in range(10):
            await idle()
            assert sum(bool(client.closes) for client in bench.clients) == second + 1
            await asyncio.sleep(1)
        await told
        assert all(client.closed == Close(1012, "stopping") for client in bench.clients)

    @on_virtual_clock
    async def test_one_alone_is_not_kept_waiting(self) -> None:
        bench = await DrainBench().fill(1)
        await dismiss_all(bench.table, asyncio.get_running_loop(), 1012, "stopping", over=10)
        assert asyncio.get_running_loop().time() == 0

    @on_virtual_clock
    async def test_it_is_over_when_all_have_left_by_themselves(self) -> None:
        bench = await DrainBench().fill(10)
        told = asyncio.create_task(
            dismiss_all(bench.table, asyncio.get_running_loop(), 1012, "stopping", over=100)
        )
        await asyncio.sleep(11)
        for session in bench.sessions:
            session.client_closed(Close(1000))
        await idle()
        assert not len(bench.table)
        await told
        assert asyncio.get_running_loop().time() < 21

    @on_virtual_clock
    async def test_who_comes_late_is_told_too(self) -> None:
        bench = await DrainBench().fill(2)
        told = asyncio.create_task(
            dismiss_all(bench.table, asyncio.get_running_loop(), 1012, "stopping", over=10)
        )
        await asyncio.sleep(1)
        await bench.fill(1)
        await told
        assert all(client.closes for client in bench.clients)
