"""Clients that are silent, slow or old are closed, and no others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from wsgw_core.api import Metrics
from wsgw_core.frontend.client_timeouts import ClientTimeouts
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.testing.virtual_clock import on_virtual_clock


class FakeSocket:
    """A client as ClientTimeouts sees it."""

    def __init__(self) -> None:
        self._activity = 0
        self.heard_at = asyncio.get_running_loop().time()
        self.is_open = True
        self.is_paused = False
        self.blocked_since: float | None = None
        self.pongs = 0
        self.ponged_at: float | None = None
        self.bytes_come = False
        self.is_in_a_frame = False
        self.backlog_moves = False
        self.bytes_taken = 0
        self.pinged: list[float] = []
        self.aborted: float | None = None
        self.closed: list[tuple[float, int, str]] = []

    @property
    def activity(self) -> int:
        return self._activity

    @activity.setter
    def activity(self, activity: int) -> None:
        self._activity = activity
        self.heard_at = asyncio.get_running_loop().time()

    def silent_for(self, seconds: float) -> bool:
        if self.bytes_come:
            self.heard_at = asyncio.get_running_loop().time()
        return asyncio.get_running_loop().time() - self.heard_at >= seconds

    def ping(self) -> FakeSocket:
        self.pinged.append(asyncio.get_running_loop().time())
        return self

    def taken(self) -> int:
        return self.bytes_taken

    def has_moved(self) -> bool:
        return self.backlog_moves

    def pong(self) -> None:
        self.pongs += 1
        self.heard_at = self.ponged_at = asyncio.get_running_loop().time()

    def abort(self) -> None:
        self.aborted = asyncio.get_running_loop().time()
        self.is_open = False

    def close(self, code: int, reason: str) -> None:
        self.closed.append((asyncio.get_running_loop().time(), code, reason))
        self.is_open = False


class Bench:
    """A ClientTimeouts with some clients."""

    def __init__(self, count: int = 1, **times: float) -> None:
        self.counters = GatewayCounters(Metrics())
        self.timeouts = ClientTimeouts(asyncio.get_running_loop(), self.counters, **times)
        self.clients: list[Any] = [FakeSocket() for _ in range(count)]
        for client in self.clients:
            self.timeouts.watch(client)

    @property
    def closed(self) -> tuple[int, int]:
        """The counters: silent, old."""
        return self.counters.idle_clients_closed.value, self.counters.old_sessions_closed.value


class TestSilent:
    @pytest.mark.parametrize("bound", [0.08, 8.0, 3600.0])
    @on_virtual_clock
    async def test_a_silent_client_is_closed_in_time(self, bound: float) -> None:
        bench = Bench(idle_timeout=bound)
        await asyncio.sleep(bound * 2 + 1)
        ((when, code, reason),) = bench.clients[0].closed
        assert bound <= when <= bound + min(bound / 4, 10) + 1e-6
        assert (code, reason) == (1001, "client was silent for too long")
        assert bench.closed == (1, 0)

    @on_virtual_clock
    async def test_a_client_that_sends_in_time_stays_until_it_is_silent(self) -> None:
        bench = Bench(idle_timeout=8)
        (client,) = bench.clients
        for _ in range(20):
            await asyncio.sleep(7.9)
            client.activity += 1
        assert not client.closed
        await asyncio.sleep(11)
        ((when, _, _),) = client.closed
        assert 20 * 7.9 + 8 <= when <= 20 * 7.9 + 10

    @on_virtual_clock
    async def test_a_paused_client_does_not_count_as_silent(self) -> None:
        bench = Bench(idle_timeout=8)
        (client,) = bench.clients
        client.is_paused = True
        await asyncio.sleep(100)
        client.is_paused = False
        assert not client.closed
        await asyncio.sleep(7.9)
        assert not client.closed
        await asyncio.sleep(2.2)
        assert client.closed

    @on_virtual_clock
    async def test_a_client_with_a_slow_message_stays(self) -> None:
        bench = Bench(idle_timeout=8)
        (client,) = bench.clients
        client.bytes_come = True
        await asyncio.sleep(100)
        assert not client.closed
        client.bytes_come = False
        await asyncio.sleep(6.5)
        assert not client.closed
        await asyncio.sleep(4)
        assert client.closed

    @on_virtual_clock
    async def test_a_part_of_a_message_behind_a_pong_counts(self) -> None:
        bench = Bench(idle_timeout=8)
        (client,) = bench.clients
        await asyncio.sleep(6)
        client.pong()
        client.heard_at += 0.05  # bytes that begin a frame
        client.is_in_a_frame = True
        await asyncio.sleep(7.9)
        assert not client.closed
        await asyncio.sleep(2.2)
        assert client.closed

    @on_virtual_clock
    async def test_many_silent_clients_are_closed_without_blocking_the_loop(self) -> None:
        bench = Bench(1201, idle_timeout=8)
        bench.clients[600].activity = 1  # seen in the first round
        in_one_turn: list[int] = []

        def close(_code: int, _reason: str) -> None:
            asyncio.get_running_loop().call_soon(lambda: in_one_turn.append(bench.closed[0]))

        bench.clients[0].close = close
        await asyncio.sleep(8.5)
        assert in_one_turn == [500]
        assert [len(client.closed) for client in bench.clients[1:]] == [1] * 599 + [0] + [1] * 600
        assert bench.closed == (1200, 0)

    @on_virtual_clock
    async def test_a_client_that_has_closed_is_left_alone(self) -> None:
        bench = Bench(2, idle_timeout=8)
        bench.clients[0].is_open = False
        await asyncio.sleep(20)
        assert [len(client.closed) for client in bench.clients] == [0, 1]
        assert bench.closed == (1, 0)


class TestOld:
    @on_virtual_clock
    async def test_an_old_client_is_closed_although_it_sends(self) -> None:
        bench = Bench(max_life=100)
        for _ in range(110):
            bench.clients[0].activity += 1
            await asyncio.sleep(1)
        ((when, code, reason),) = bench.clients[0].closed
        assert 90 <= when <= 105
        assert (code, reason) == (1001, "maximum session time reached")
        assert bench.closed == (0, 1)

    @on_virtual_clock
    async def test_clients_that_came_together_leave_at_different_times(self) -> None:
        bench = Bench(300, max_life=3600)
        await asyncio.sleep(3239)
        assert bench.closed == (0, 0)
        await asyncio.sleep(3606 - 3239)
        assert bench.closed == (0, 300)
        times = [client.closed[0][0] for client in bench.clients]
        assert max(times) - min(times) > 180
        assert len(set(times)) > 30

    @on_virtual_clock
    async def test_both_timeouts_work_together(self) -> None:
        bench = Bench(2, idle_timeout=30, max_life=100)
        for _ in range(110):
            bench.clients[0].activity += 1
            await asyncio.sleep(1)
        assert bench.closed == (1, 1)
        assert bench.clients[1].closed[0][0] < bench.clients[0].closed[0][0]


class TestTimers:
    """On a virtual clock a timer that is left over would keep the loop running."""

    @on_virtual_clock
    async def test_without_timeouts_no_client_is_watched(self) -> None:
        bench = Bench()
        await asyncio.sleep(1_000_000)
        assert not bench.clients[0].closed
        assert not timers()

    @on_virtual_clock
    async def test_a_forgotten_client_leaves_no_timer(self) -> None:
        bench = Bench(2, idle_timeout=8)
        bench.timeouts.forget(bench.clients[0])
        assert timers() == 1
        bench.timeouts.forget(bench.clients[1])
        bench.timeouts.forget(bench.clients[1])
        assert not timers()
        await asyncio.sleep(100)
        assert not any(client.closed for client in bench.clients)

    @on_virtual_clock
    async def test_rounds_begin_again_with_the_next_client(self) -> None:
        bench = Bench(idle_timeout=8)
        await asyncio.sleep(20)
        assert not timers()
        client: Any = FakeSocket()
        bench.timeouts.watch(client)
        assert timers() == 1
        await asyncio.sleep(20)
        assert client.closed

    @on_virtual_clock
    async def test_rounds_have_pauses_with_the_shortest_timeout(self) -> None:
        bench = Bench(idle_timeout=0.001)
        await asyncio.sleep(1)
        [(when, _, _)] = bench.clients[0].closed
        assert when == pytest.approx(0.005)

    @on_virtual_clock
    async def test_a_client_may_leave_during_a_round(self) -> None:
        """Closing one client may end others at once."""
        bench = Bench(3, idle_timeout=8)
        one, two, three = bench.clients

        def close(_code: int, _reason: str) -> None:
            for client in bench.clients:
                bench.timeouts.forget(client)

        one.close = close
        await asyncio.sleep(20)
        assert not two.closed
        assert not three.closed
        assert bench.closed == (1, 0)
        assert not timers()


def timers() -> int:
    """Returns how many timers are set, without that of the test."""
    loop: Any = asyncio.get_running_loop()
    return sum(not timer.cancelled() for timer in loop._scheduled)  # noqa: SLF001 - nothing else tells


class TestSlow:
    @on_virtual_clock
    async def test_a_client_that_takes_nothing_for_too_long_is_closed(self) -> None:
        bench = Bench(slow_timeout=8)
        (client,) = bench.clients
        client.blocked_since = 0.0
        await asyncio.sleep(20)
        ((when, code, reason),) = client.closed
        assert 8 <= when <= 10
        assert (code, reason) == (1008, "client reads too slowly")
        assert bench.counters.slow_clients_closed.value == 1
        assert bench.counters.mutual_blocks.value == 0

    @pytest.mark.parametrize("seconds", [3, 60])
    @on_virtual_clock
    async def test_a_client_that_reads_steadily_stays_until_it_stops(self, seconds: float) -> None:
        bench = Bench(slow_timeout=seconds)
        (client,) = bench.clients
        client.blocked_since = 0.0
        for _ in range(10 * int(seconds)):
            client.bytes_taken += 12_000
            await asyncio.sleep(1)
        assert not client.closed
        await asyncio.sleep(2 * seconds)
        ((when, code, _),) = client.closed
        assert 11 * seconds - 1 <= when <= 11.25 * seconds
        assert code == 1008

    @pytest.mark.parametrize(("size", "every"), [(1, 60), (1, 1), (200, 1)])
    @on_virtual_clock
    async def test_a_client_that_reads_too_slowly_is_closed(self, size: int, every: float) -> None:
        bench = Bench(slow_timeout=60)
        (client,) = bench.clients
        client.blocked_since = 0.0
        async with asyncio.timeout(3600):
            while not client.closed:
                client.bytes_taken += size
                await asyncio.sleep(every)
        ((when, _, _),) = client.closed
        assert 60 <= when <= 75

    @on_virtual_clock
    async def test_bytes_taken_before_the_last_block_do_not_count(self) -> None:
        bench = Bench(slow_timeout=8)
        (client,) = bench.clients
        client.blocked_since = 0.0
        await asyncio.sleep(7)
        client.blocked_since = None
        client.bytes_taken += 100_000
        await asyncio.sleep(0.5)
        client.blocked_since = 7.5
        await asyncio.sleep(20)
        ((when, _, _),) = client.closed
        assert 15.5 <= when <= 17.5

    @on_virtual_clock
    async def test_mutual_blocks_are_counted(self) -> None:
        bench = Bench(slow_timeout=8)
        (client,) = bench.clients
        client.blocked_since = 0.0
        client.is_paused = True
        await asyncio.sleep(20)
        assert client.closed
        assert bench.counters.mutual_blocks.value == 1

    @on_virtual_clock
    async def test_a_client_that_catches_up_in_time_stays(self) -> None:
        bench = Bench(slow_timeout=8)
        (client,) = bench.clients
        for _ in range(20):
            client.blocked_since = asyncio.get_running_loop().time()
            await asyncio.sleep(7)
            client.blocked_since = None
            await asyncio.sleep(0.1)
        assert not client.closed


class TestGone:
    @on_virtual_clock
    async def test_a_client_that_answers_no_ping_is_dropped(self) -> None:
        bench = Bench(ping_time=8, ping_timeout=4)
        (client,) = bench.clients
        await asyncio.sleep(20)
        assert len(client.pinged) == 1
        assert 8 <= client.pinged[0] <= 9
        assert client.aborted is not None
        assert 12 <= client.aborted <= 14
        assert bench.counters.dead_clients_dropped.value == 1

    @pytest.mark.parametrize("sign", ["pong", "frame", "bytes", "backlog", "held", "blocked"])
    @on_virtual_clock
    async def test_any_sign_of_life_keeps_a_client(self, sign: str) -> None:
        bench = Bench(ping_time=8, ping_timeout=4)
        (client,) = bench.clients
        client.bytes_come = sign == "bytes"
        client.backlog_moves = sign == "backlog"
        client.is_paused = sign == "held"
        client.blocked_since = 0.0 if sign == "blocked" else None
        for _ in range(100):
            await asyncio.sleep(1)
            if client.pinged and sign == "pong":
                client.pong()
            elif sign == "frame":
                client.activity += 1
        assert client.aborted is None
        assert bool(client.pinged) is (sign in ("pong", "bytes", "backlog"))

    @on_virtual_clock
    async def test_a_client_that_sends_is_not_pinged(self) -> None:
        bench = Bench(ping_time=8)
        (client,) = bench.clients
        for _ in range(100):
            await asyncio.sleep(5)
            client.activity += 1
        assert client.pinged == []

    @on_virtual_clock
    async def test_pongs_do_not_reset_the_idle_timeout(self) -> None:
        bench = Bench(ping_time=8, ping_timeout=4, idle_timeout=40)
        (client,) = bench.clients
        async with asyncio.timeout(3600):
            while not client.closed:
                await asyncio.sleep(0.5)
                if len(client.pinged) > client.pongs:
                    client.pong()
        assert client.pongs > 2
        ((when, code, _),) = client.closed
        assert 40 <= when <= 50
        assert code == 1001
