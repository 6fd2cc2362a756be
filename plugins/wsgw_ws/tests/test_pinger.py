"""When the pinger sends pings on connections, on a virtual clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest
from wsgw_ws.connection import WebSocketConnection
from wsgw_ws.pinger import Pinger

from wsgw_core.api import Clock
from wsgw_core.testing.virtual_clock import on_virtual_clock


class Asked:
    """Records what a pinger does with a connection."""

    def __init__(self, ticks: int = 1_000_000) -> None:
        self.ticked: list[float] = []
        self.kept_alive: list[float] = []
        self.failed = False
        self._ticks = ticks

    def tick(self, now: float) -> bool:
        self.ticked.append(now)
        return len(self.ticked) < self._ticks

    def keep_alive(self, now: float) -> None:
        self.kept_alive.append(now)

    def fail(self) -> None:
        self.failed = True

    @property
    def connection(self) -> WebSocketConnection:
        return cast("WebSocketConnection", self)


class CountingClock:
    """The loop's clock; counts the timers that were set."""

    def __init__(self) -> None:
        self.timers = 0
        loop = asyncio.get_running_loop()
        self.time, self.call_soon, self._call_later = loop.time, loop.call_soon, loop.call_later

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return self._call_later(delay, callback, *args)


def new_pinger(
    ack_interval: float = 0.05, ping_time: float = 20, clock: Clock | None = None
) -> Pinger:
    logger = logging.getLogger("wsgw.test")
    return Pinger(clock or asyncio.get_running_loop(), logger, ack_interval, ping_time)


def near(times: list[float], expected: list[float]) -> bool:
    return len(times) == len(expected) and all(
        abs(one - other) < 1e-3 for one, other in zip(times, expected, strict=True)
    )


class TestBusy:
    @on_virtual_clock
    async def test_busy_connection_is_ticked_each_interval_until_it_is_done(self) -> None:
        pinger, asked = new_pinger(), Asked(ticks=3)
        pinger.watch(asked.connection)
        await asyncio.sleep(10)
        assert near(asked.ticked, [0.05, 0.1, 0.15])

    @on_virtual_clock
    async def test_connection_can_become_busy_again(self) -> None:
        pinger, asked = new_pinger(), Asked(ticks=1)
        pinger.watch(asked.connection)
        await asyncio.sleep(10)
        pinger.watch(asked.connection)
        await asyncio.sleep(10)
        assert near(asked.ticked, [0.05, 10.05])

    @on_virtual_clock
    async def test_many_busy_connections_are_spread_over_the_interval(self) -> None:
        pinger = new_pinger()
        many = [Asked() for _ in range(250)]
        for asked in many:
            pinger.watch(asked.connection)
        await asyncio.sleep(10)
        for asked in many:
            pauses = [after - before for before, after in pairwise(asked.ticked)]
            assert all(abs(pause - 0.5) < 1e-3 for pause in pauses)
        assert len({asked.ticked[0] for asked in many}) == 10, "spread over the half second"
        pinger.close()

    @on_virtual_clock
    async def test_each_of_5000_busy_connections_is_ticked_within_a_second(self) -> None:
        pinger = new_pinger()
        many = [Asked() for _ in range(5000)]
        for asked in many:
            pinger.watch(asked.connection)
        await asyncio.sleep(5)
        for asked in many:
            assert all(after - before < 1.001 for before, after in pairwise(asked.ticked))
            assert len(asked.ticked) >= 4
        pinger.close()

    @on_virtual_clock
    async def test_fault_in_one_connection_does_not_affect_others(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        pinger, other = new_pinger(), Asked()

        class Faulty(Asked):
            def tick(self, now: float) -> bool:
                super().tick(now)
                raise LookupError("a bug of ours")

            def keep_alive(self, now: float) -> None:
                super().keep_alive(now)
                raise LookupError("another bug of ours")

        faulty = Faulty()
        for asked in (faulty, other):
            pinger.watch(asked.connection)
            pinger.add(asked.connection)
        await asyncio.sleep(50)
        assert faulty.failed
        assert len(faulty.ticked) == 1
        assert len(other.ticked) > 100
        assert len(other.kept_alive) >= 2
        assert "a bug of ours" in caplog.text
        assert "another bug of ours" in caplog.text
        pinger.close()


class TestIdle:
    @on_virtual_clock
    async def test_idle_connection_is_kept_alive_each_ping_time(self) -> None:
        pinger, asked = new_pinger(ping_time=20), Asked()
        pinger.add(asked.connection)
        await asyncio.sleep(200)
        assert 10 <= asked.kept_alive[0] <= 20.4
        pauses = [after - before for before, after in pairwise(asked.kept_alive)]
        assert all(20 <= pause <= 20.4 for pause in pauses)
        assert len(asked.kept_alive) >= 8
        assert asked.ticked == []
        pinger.close()

    @on_virtual_clock
    async def test_connections_added_together_are_pinged_at_different_times(self) -> None:
        pinger = new_pinger(ping_time=80)
        many = [Asked() for _ in range(100)]
        for asked in many:
            pinger.add(asked.connection)
        await asyncio.sleep(95)
        assert len({asked.kept_alive[0] for asked in many}) >= 3
        pinger.close()

    @on_virtual_clock
    async def test_rounds_have_pauses_with_the_shortest_ping_time(self) -> None:
        clock = CountingClock()
        pinger, asked = new_pinger(ping_time=0.001, clock=clock), Asked()
        pinger.add(asked.connection)
        await asyncio.sleep(1)
        assert 100 < clock.timers <= 201
        assert len(asked.kept_alive) > 100
        pinger.close()

    @on_virtual_clock
    async def test_removed_connection_is_not_pinged(self) -> None:
        pinger, asked = new_pinger(), Asked()
        pinger.add(asked.connection)
        pinger.remove(asked.connection)
        pinger.remove(asked.connection)
        await asyncio.sleep(200)
        assert asked.kept_alive == []


@on_virtual_clock
async def test_close_stops_both_timers() -> None:
    pinger, asked = new_pinger(), Asked()
    pinger.add(asked.connection)
    pinger.watch(asked.connection)
    pinger.close()
    await asyncio.sleep(1000)
    assert asked.ticked == asked.kept_alive == []


@on_virtual_clock
async def test_pinger_without_connections_sets_no_timer() -> None:
    clock = CountingClock()
    pinger, asked = new_pinger(clock=clock), Asked(ticks=1)
    pinger.add(asked.connection)
    pinger.watch(asked.connection)
    pinger.remove(asked.connection)
    await asyncio.sleep(60)
    timers = clock.timers
    await asyncio.sleep(1000)
    assert clock.timers == timers
