"""Sessions return to a backend of a lower priority number when it has been healthy for a while."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence

import pytest

from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.config.upstream_options import UpstreamOptions
from wsgw_core.pool.backends.backend_pool import PooledBackend
from wsgw_core.relay.all_sessions.session_context import ConfiguredValve
from wsgw_core.relay.moves.failback import Failback
from wsgw_core.relay.session.session import Session
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import (
    Accept,
    Decline,
    FakeBackend,
    FakeClient,
    Hang,
    Unavailable,
)
from wsgw_core.testing.virtual_clock import on_virtual_clock

from ..relay_bench import RelayBench
from ..valves.hydrating_valve import LOGIN, hydrating

AFTER = 30.0
LOOK = 6.0  # at most so long from one round of probes to the next
RATE = 10.0


def options(*, failback: bool = True, after: float = AFTER) -> UpstreamOptions:
    return UpstreamOptions.model_validate(
        {"failback": failback, "failback-after": after, "backends": [{"url": "ws://unused"}]}
    )


class FailbackBench(RelayBench):
    """Sessions at the first of several backends, each with a higher number than the one before."""

    def __init__(
        self,
        *priorities: int,
        breaker_threshold: int = -1,
        stable: float = 1,
        valves: Sequence[ConfiguredValve] = (),
    ) -> None:
        priorities = priorities or (1, 2)
        super().__init__(
            *(FakeBackend(f"b{number}", acknowledge=True) for number in range(len(priorities))),
            failover=FailoverOptions(stable=stable),
            drain=DrainOptions(quiet=0.1, patience=5),
            breaker_threshold=breaker_threshold,
            valves=valves,
        )
        for pooled, priority in zip(self.pooled, priorities, strict=True):
            pooled.priority = priority
        self.rate = RATE
        self.sessions: list[Session] = []
        self.clients: list[FakeClient] = []
        self.failback = Failback(
            self.pool, self.table, lambda: self.rate, logging.getLogger("wsgw.test")
        )

    async def fill(self, count: int) -> None:
        for _ in range(count):
            session = Session(f"session-{len(self.sessions)}", self.handshake, self.context)
            await session.open()
            self.clients.append(FakeClient())
            session.start(self.clients[-1])
            self.sessions.append(session)

    def at(self, number: int) -> int:
        """Return how many sessions are at a backend."""
        return sum(session.backend_id == f"b{number}" for session in self.sessions)

    async def park(self, count: int) -> None:
        """Open sessions, then stop the first backend."""
        await self.fill(count)
        await asyncio.sleep(5)  # the connections have lasted
        self.blue.go_down()
        await asyncio.sleep(5)
        assert self.at(1) == count

    async def stop(self) -> None:
        async with asyncio.timeout(AFTER):
            await self.failback.stop()

    async def end(self) -> None:
        await self.stop()
        assert not any(client.closes for client in self.clients)


@on_virtual_clock
async def test_sessions_return_when_the_backend_has_been_healthy_for_the_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    bench = FailbackBench()
    bench.failback.follow(options())
    await bench.park(20)
    await asyncio.sleep(3 * AFTER)
    assert bench.at(1) == 20
    bench.blue.come_up()
    dials = len(bench.blue.requests)
    await asyncio.sleep(AFTER - 1)
    assert bench.at(1) == 20
    assert len(bench.blue.requests) == dials  # probes only
    await asyncio.sleep(3 * LOOK)
    assert bench.at(0) == 20
    assert bench.counters.failbacks.value == bench.counters.moves.value == 20
    assert bench.counters.moves_called_off.value == 0
    told = [each.getMessage() for each in caplog.records if "return to it" in each.getMessage()]
    assert told == ["backend b0: healthy for 30 s, sessions return to it"]
    probes = bench.blue.probes
    await asyncio.sleep(10 * LOOK)
    assert bench.blue.probes == probes  # no session could return
    await bench.end()


@on_virtual_clock
async def test_probes_are_apart_by_about_five_seconds() -> None:
    probed: list[float] = []

    class Probed(FakeBackend):
        async def probe(self) -> None:
            probed.append(asyncio.get_running_loop().time())

    bench = FailbackBench()
    bench.failback.follow(options(after=10 * AFTER))
    await bench.park(1)
    bench.pool.add(PooledBackend("b2", Probed("b2"), priority=0))
    await asyncio.sleep(9 * AFTER)
    await bench.end()
    assert len(probed) > 40
    for earlier, later in itertools.pairwise(probed):
        assert later - earlier == pytest.approx(5, rel=0.11)


@on_virtual_clock
async def test_without_failback_sessions_stay() -> None:
    bench = FailbackBench()
    bench.failback.follow(options(failback=False))
    await bench.park(3)
    bench.blue.come_up()
    await asyncio.sleep(10 * AFTER)
    assert bench.at(1) == 3
    assert bench.blue.probes == 0
    await bench.end()


@on_virtual_clock
async def test_sessions_return_at_the_rate() -> None:
    bench = FailbackBench()
    await bench.park(100)
    bench.blue.come_up()
    bench.failback.follow(options())
    async with asyncio.timeout(100):
        while bench.at(0) < 2:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    before = bench.at(0)
    await asyncio.sleep(2)
    assert before < bench.at(0) <= before + 2 * RATE + 2
    await asyncio.sleep(30)
    assert bench.at(0) == 100
    await bench.end()


@pytest.mark.parametrize("how", ["probe", "loss", "disabled", "unhealthy", "tripped", "dial"])
@on_virtual_clock
async def test_a_flapping_backend_restarts_the_time(how: str) -> None:
    bench = FailbackBench(breaker_threshold=2 if how == "tripped" else -1)
    await bench.park(4)
    bench.blue.come_up()
    await bench.fill(1)  # a new client finds the backend back
    assert bench.at(0) == 1
    bench.failback.follow(options())
    backend = bench.pooled[0]
    for _ in range(8):
        await asyncio.sleep(AFTER - 3 * LOOK)
        if how == "probe":
            bench.blue.healthy = False
            await asyncio.sleep(LOOK)
            bench.blue.healthy = True
        elif how == "loss":
            bench.blue.connections[-1].drop()  # the session is served by the other one, or again
            await asyncio.sleep(0.1)
            await bench.fill(1)
        elif how == "disabled":
            backend.enabled = False
            backend.enabled = True
        elif how == "unhealthy":
            backend.healthy = False
            backend.healthy = True
        elif how == "dial":
            backend.failed(asyncio.get_running_loop().time(), "refused", unreachable=True)
        else:
            for _ in range(2):
                backend.failed(asyncio.get_running_loop().time(), "refused", unreachable=True)
            backend.answered(asyncio.get_running_loop().time())
        assert bench.counters.failbacks.value == 0
    await asyncio.sleep(2 * AFTER)
    assert bench.at(1) == 0
    assert bench.counters.failbacks.value >= 4
    await bench.end()


@on_virtual_clock
async def test_a_tripped_backend_gets_one_session_until_it_has_proved_itself() -> None:
    bench = FailbackBench(breaker_threshold=2)
    await bench.park(10)
    for _ in range(3):
        bench.pooled[0].failed(asyncio.get_running_loop().time(), "refused", unreachable=True)
    assert bench.pooled[0].breaker.trips == 1
    bench.blue.healthy = True  # probes pass, dials do not
    bench.failback.follow(options())
    dials = len(bench.blue.requests)
    await asyncio.sleep(10 * AFTER)
    assert bench.at(1) == 10
    assert 1 <= len(bench.blue.requests) - dials <= 10
    bench.blue.come_up()
    await asyncio.sleep(3 * AFTER)
    assert bench.at(0) == 10
    assert not bench.pooled[0].breaker.tripped
    await bench.end()


@on_virtual_clock
async def test_one_session_at_a_time_tries_a_tripped_backend() -> None:
    bench = FailbackBench(breaker_threshold=2, stable=20)
    await bench.park(10)
    for _ in range(2):
        bench.pooled[0].failed(asyncio.get_running_loop().time(), "refused", unreachable=True)
    bench.blue.come_up()
    bench.blue.otherwise = Accept(after=8)
    bench.failback.follow(options())
    dials = len(bench.blue.requests)
    await bench.blue.until_dialled(dials + 1)
    await asyncio.sleep(7)  # there was another round meanwhile
    assert bench.counters.moves_called_off.value == 0  # the others have not tried to move
    await asyncio.sleep(9)  # and another one, before it has proved itself
    assert bench.at(0) == len(bench.blue.requests) - dials == 1
    await asyncio.sleep(10 * AFTER)
    assert bench.at(0) == 10
    await bench.end()


@pytest.mark.parametrize("is_over", ["declined", "ended"])
@on_virtual_clock
async def test_the_next_session_tries_a_tripped_backend_when_a_trial_has_ended(
    is_over: str,
) -> None:
    bench = FailbackBench(breaker_threshold=2)
    await bench.park(2)
    for _ in range(2):
        bench.pooled[0].failed(asyncio.get_running_loop().time(), "refused", unreachable=True)
    bench.blue.come_up()
    bench.blue.will(Decline(404) if is_over == "declined" else Hang())
    bench.failback.follow(options())
    dials = len(bench.blue.requests)
    await bench.blue.until_dialled(dials + 1)
    trial = next(each for each in bench.sessions if each.state is State.SETTLING)
    if is_over == "ended":
        trial.close(1000)
    await asyncio.sleep(3 * LOOK)
    others = [each for each in bench.sessions if each is not trial]
    assert [each.backend_id for each in others] == ["b0"]
    await bench.stop()


@on_virtual_clock
async def test_declined_sessions_stay_and_try_again_ever_more_rarely() -> None:
    bench = FailbackBench()
    await bench.park(2)
    bench.blue.come_up()
    bench.blue.otherwise = Decline(404)
    bench.failback.follow(options())
    dials = len(bench.blue.requests)
    await asyncio.sleep(AFTER + 600)
    assert bench.at(1) == 2
    assert 4 <= len(bench.blue.requests) - dials <= 2 * 20
    assert bench.counters.moves_called_off.value == len(bench.blue.requests) - dials
    assert bench.counters.failbacks.value == 0
    bench.blue.come_up()
    await asyncio.sleep(90)
    assert bench.at(0) == 2
    await bench.end()


@on_virtual_clock
async def test_a_session_returns_only_to_a_backend_of_a_lower_number() -> None:
    bench = FailbackBench(1, 2, 2, 3)
    await bench.park(1)
    bench.blue.come_up()
    bench.blue.otherwise = Unavailable()  # the search would go on
    bench.failback.follow(options())
    others = len(bench.backends[2].requests), len(bench.backends[3].requests)
    await asyncio.sleep(5 * AFTER)
    assert bench.at(1) == 1
    assert (len(bench.backends[2].requests), len(bench.backends[3].requests)) == others
    await bench.end()


@on_virtual_clock
async def test_a_session_does_not_try_a_backend_of_its_own_number() -> None:
    bench = FailbackBench(1, 2, 3)
    bench.blue.go_down()
    bench.green.go_down()
    await bench.fill(1)
    bench.green.come_up()
    await bench.fill(1)
    assert (bench.at(1), bench.at(2)) == (1, 1)
    bench.failback.follow(options())
    await asyncio.sleep(AFTER + 3 * LOOK)
    assert bench.at(1) == 2
    assert bench.counters.moves_called_off.value == 0
    await bench.end()


@on_virtual_clock
async def test_a_ready_backend_is_chosen_before_one_that_has_just_come_back() -> None:
    bench = FailbackBench(1, 2, 3)
    await bench.fill(1)
    await asyncio.sleep(5)
    bench.blue.go_down()
    bench.green.go_down()
    await asyncio.sleep(5)
    assert bench.at(2) == 1
    bench.green.come_up()
    bench.failback.follow(options())
    await asyncio.sleep(AFTER - LOOK)
    bench.blue.come_up()
    await asyncio.sleep(3 * LOOK)
    assert bench.at(1) == 1
    await asyncio.sleep(2 * AFTER)
    assert bench.at(0) == 1
    await bench.end()


@on_virtual_clock
async def test_a_session_stays_for_a_while_where_a_failover_has_brought_it() -> None:
    bench = FailbackBench()
    await bench.park(1)
    bench.blue.come_up()
    await bench.fill(1)
    parked, lost = bench.sessions
    bench.blue.otherwise = Decline(404)
    bench.failback.follow(options())
    await asyncio.sleep(2 * AFTER)
    bench.blue.connections[-1].hang_up(1012, abnormal=True)
    bench.blue.come_up()  # it has been ready for long, and takes every session
    await asyncio.sleep(AFTER - 1)
    assert (parked.backend_id, lost.backend_id) == ("b0", "b1")
    await asyncio.sleep(3 * LOOK)
    assert lost.backend_id == "b0"
    await bench.end()


@on_virtual_clock
async def test_a_session_without_a_backend_at_its_turn_does_not_hinder_others() -> None:
    bench = FailbackBench()
    bench.rate = 1.0
    await bench.park(3)
    bench.blue.come_up()
    bench.failback.follow(options())
    async with asyncio.timeout(AFTER + LOOK):
        while not bench.at(0):  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.1)
    _, lost, last = bench.sessions
    bench.blue.will(Hang())
    bench.green.otherwise = Hang()
    (connection,) = (each for each in bench.green.connections if each.request.session_id == lost.id)
    connection.drop()
    await asyncio.sleep(2.5)
    assert (lost.backend_id, last.backend_id) == (None, "b0")
    await bench.end()


@on_virtual_clock
async def test_a_session_that_the_backend_always_drops_returns_once_per_time() -> None:
    bench = FailbackBench()
    bench.failback.follow(options())
    await bench.fill(1)
    for _ in range(5):
        await asyncio.sleep(5)
        assert bench.at(0) == 1
        bench.blue.connections[-1].hang_up(1012, abnormal=True)
        await asyncio.sleep(AFTER - 5)
        assert bench.at(1) == 1
        await asyncio.sleep(3 * LOOK)
    assert bench.counters.failbacks.value == 5
    await bench.end()


@on_virtual_clock
async def test_a_session_returns_ever_more_rarely_to_a_backend_that_cannot_be_prepared() -> None:
    bench = FailbackBench(valves=(hydrating(LOGIN),))
    bench.failback.follow(options())
    await bench.fill(1)
    await asyncio.sleep(5)
    (session,) = bench.sessions
    bench.drop()

    async def serve(backend: FakeBackend, first: int, *, accepts: bool) -> None:
        for number in range(first, 1000):
            connection = await backend.connection(number)
            if accepts:
                connection.reply("welcome")
            else:
                returns.append(asyncio.get_running_loop().time())
                connection.hang_up(4403)

    returns: list[float] = []
    serving = [
        asyncio.create_task(serve(bench.blue, 1, accepts=False)),
        asyncio.create_task(serve(bench.green, 0, accepts=True)),
    ]
    await asyncio.sleep(10 * AFTER * 64)
    assert session.backend_id == "b1"
    pauses = [later - earlier for earlier, later in itertools.pairwise(returns)]
    expected = [AFTER * 2**number for number in range(1, 7)]
    assert pauses[:6] == pytest.approx(expected, abs=3 * LOOK)
    assert len(pauses) > 6
    assert pauses[6:] == pytest.approx([AFTER * 64] * len(pauses[6:]), abs=3 * LOOK)
    serving[0].cancel()
    async with asyncio.timeout(AFTER * 65):
        while session.backend_id != "b0" or session.is_hydrating:
            if bench.blue.connections[-1].ended is None:
                bench.blue.connections[-1].reply("welcome")
            await asyncio.sleep(1)
    # The return has succeeded, so that the next one comes as soon as the first one did.
    await asyncio.sleep(LOOK + 5)
    parked = asyncio.get_running_loop().time()
    bench.drop()
    await bench.blue.connection(len(bench.blue.connections))
    assert asyncio.get_running_loop().time() - parked == pytest.approx(AFTER, abs=3 * LOOK)
    serving[1].cancel()
    await bench.end()


@pytest.mark.parametrize("reload", [True, False])
@on_virtual_clock
async def test_a_reload_or_a_stop_ends_failback(*, reload: bool) -> None:
    bench = FailbackBench()
    await bench.park(100)
    bench.blue.come_up()
    bench.failback.follow(options())
    async with asyncio.timeout(3 * AFTER):
        while bench.at(0) < 10:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)
    if reload:
        bench.failback.follow(options(failback=False))
    else:
        await bench.stop()
    probes, back = bench.blue.probes, bench.at(0)
    await asyncio.sleep(5 * AFTER)
    assert back <= bench.at(0) <= back + 10  # those that had begun
    assert bench.blue.probes == probes
    if reload:
        bench.failback.follow(options(after=1))
        await asyncio.sleep(30)
        assert bench.at(0) == 100
    await bench.end()


@on_virtual_clock
async def test_sessions_of_a_backend_that_a_reload_has_given_a_higher_number_return() -> None:
    bench = FailbackBench()
    bench.failback.follow(options())
    await bench.fill(2)
    old = bench.pooled[0]
    bench.pool.remove(old)
    bench.pool.add(PooledBackend("b0", FakeBackend("b0"), -1, priority=3))
    await asyncio.sleep(AFTER + 3 * LOOK)
    assert bench.at(1) == 2
    await bench.end()


@on_virtual_clock
async def test_a_hanging_probe_times_out_and_does_not_delay_a_return_to_a_ready_backend() -> None:
    bench = FailbackBench(1, 1, 2)
    await bench.fill(2)
    await asyncio.sleep(5)
    bench.blue.go_down()
    bench.green.go_down()
    await asyncio.sleep(5)
    assert bench.at(2) == 2

    async def hang() -> None:
        await asyncio.Event().wait()

    bench.blue.probe = hang  # type: ignore[method-assign]  # a backend that is frozen
    bench.green.come_up()
    bench.failback.follow(options())
    await asyncio.sleep(AFTER + 4 * LOOK)
    assert bench.at(1) == 2
    await bench.end()
