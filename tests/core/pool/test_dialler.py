"""Dialling tries each backend once and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable
from typing import get_args

import pytest

from wsgw_core.api import BackendDeclined, DialRequest, Metrics, OutOfResources, Sink
from wsgw_core.config.upstream_options import Policy
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.pool.backend_group import BackendGroup
from wsgw_core.pool.backend_pool import BackendPool, PooledBackend
from wsgw_core.pool.dial_gates import DialGates
from wsgw_core.pool.dialler import Dialled, Dialler, NoBackend
from wsgw_core.testing.fakes import Accept, Decline, FakeBackend, Fault, Hang, Unavailable
from wsgw_core.testing.recording_sink import RecordingSink
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

FIRST = DialRequest("s1", "/chat", subprotocols=("chat", "soap"))
AGAIN = DialRequest("s1", "/chat", subprotocols=("chat",), reconnect=True)


class Bench:
    """A dialler with some backends."""

    def __init__(self, *names: str, policy: Policy = "round-robin") -> None:
        self.backends = [FakeBackend(name) for name in names]
        self.pooled = [PooledBackend(each.backend_id, each) for each in self.backends]
        self.pool = BackendPool(self.pooled)
        self.counters = GatewayCounters(Metrics())
        self.group = BackendGroup(self.pool, policy=policy)
        self.gates = DialGates(3)
        self.dialler = self.another_dialler()
        self.sinks: list[RecordingSink] = []

    def another_dialler(self) -> Dialler:
        return Dialler(
            self.group, self.gates, (408, 429), self.counters, logging.getLogger("wsgw.test")
        )

    def _make_sink(self) -> RecordingSink:
        self.sinks.append(RecordingSink())
        return self.sinks[-1]

    async def dial(
        self,
        request: DialRequest = FIRST,
        *,
        deadline: float | None = None,
        last: PooledBackend | None = None,
        hedge_after: float = 0,
    ) -> Dialled[RecordingSink]:
        return await self.dialler.dial(
            request,
            self._make_sink,
            timeout=10,
            deadline=deadline,
            last=last,
            hedge_after=hedge_after,
        )

    async def hang(self, count: int) -> list[asyncio.Task[Dialled[RecordingSink]]]:
        """Dial the first backend so many times, which answers none that its script does not."""
        self.backends[0].otherwise = Hang()
        before = len(self.backends[0].requests)
        dials = [asyncio.create_task(self.dial(last=self.pooled[-1])) for _ in range(count)]
        await self.backends[0].until_dialled(before + count)
        return dials


def trip(backend: PooledBackend) -> None:
    """Have its breaker open."""
    while not backend.breaker.tripped:
        backend.failed(now(), "down")


def set_(backend: PooledBackend, **values: bool) -> None:
    for name, value in values.items():
        setattr(backend, name, value)


def now() -> float:
    return asyncio.get_running_loop().time()


@on_virtual_clock
async def test_backends_that_take_the_place_of_removed_ones_meanwhile_are_tried() -> None:
    bench = Bench("a", "b")
    bench.backends[0].otherwise = Hang()
    dialling = asyncio.create_task(bench.dial())
    await idle()

    for old in bench.pooled:
        bench.pool.remove(old)
    new = PooledBackend("c", FakeBackend("c"))
    bench.pool.add(new)

    assert (await dialling).backend is new


@on_virtual_clock
async def test_the_connection_comes_with_its_backend_and_sink() -> None:
    bench = Bench("a", "b")
    dialled = await bench.dial()
    assert dialled.backend is bench.pooled[0]
    assert dialled.connection is bench.backends[0].connections[0]
    assert bench.backends[0].connections[0].sink is dialled.sink
    assert bench.backends[0].requests == [FIRST]
    assert bench.pooled[0].total == 1
    assert bench.counters.dials_succeeded.value == 1


@on_virtual_clock
async def test_what_is_no_connection_is_a_fault_of_the_plugin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def forget_to_return(_request: DialRequest, _sink: Sink) -> None:
        pass

    bench = Bench("a", "b")
    monkeypatch.setattr(bench.backends[0], "connect", forget_to_return)
    dialled = await bench.dial()
    assert dialled.backend is bench.pooled[1]
    assert bench.pooled[0].failures == 1


@on_virtual_clock
async def test_each_is_tried_once() -> None:
    bench = Bench("a", "b", "c")
    bench.backends[0].otherwise = Unavailable("no route")
    bench.backends[1].otherwise = Fault(KeyError("bug"))
    bench.backends[2].otherwise = Hang()
    with pytest.raises(NoBackend) as failed:
        await bench.dial()
    assert str(failed.value) == (
        "a: no route; b: fault in its plugin: KeyError; c: dial took longer than 10 s"
    )
    assert [len(backend.requests) for backend in bench.backends] == [1, 1, 1]
    assert [each.failures for each in bench.pooled] == [1, 1, 1]
    assert bench.counters.dials_failed.value == 3
    assert len(set(map(id, bench.sinks))) == 3


@on_virtual_clock
async def test_the_next_is_tried_when_one_fails() -> None:
    bench = Bench("a", "b")
    bench.backends[0].otherwise = Unavailable()
    assert (await bench.dial()).backend.id == "b"
    assert bench.pooled[0].failures == 1
    assert bench.pooled[0].total == 0


@on_virtual_clock
async def test_a_dial_that_hangs_is_cancelled_in_time() -> None:
    bench = Bench("a", "b")
    bench.backends[0].otherwise = Hang()
    await bench.dial()
    assert now() == 10
    assert bench.backends[0].cancelled == 1


@on_virtual_clock
async def test_a_deadline_bounds_all_together() -> None:
    bench = Bench("a", "b", "c")
    for backend in bench.backends:
        backend.otherwise = Hang()
    with pytest.raises(NoBackend):
        await bench.dial(AGAIN, deadline=now() + 15)
    assert now() == 15
    assert [len(backend.requests) for backend in bench.backends] == [1, 1, 0]


@on_virtual_clock
async def test_the_last_one_comes_last() -> None:
    bench = Bench("a", "b")
    assert (await bench.dial(last=bench.pooled[0])).backend.id == "b"


@on_virtual_clock
async def test_without_an_enabled_backend_there_is_none() -> None:
    bench = Bench("a")
    bench.pooled[0].enabled = False
    with pytest.raises(NoBackend, match="no backend is enabled and untripped"):
        await bench.dial()


@on_virtual_clock
async def test_a_fault_in_a_plugin_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench("a", "b")
    bench.backends[0].otherwise = Fault(ZeroDivisionError("bug"))
    await bench.dial()
    record = next(each for each in caplog.records if "fault" in each.message)
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


class TestWantOfOurOwn:
    @on_virtual_clock
    async def test_it_does_not_count_against_the_backend(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench = Bench("a", "b")
        for backend in bench.backends:
            backend.otherwise = Fault(OutOfResources("Too many open files"))
        for _ in range(3):
            with pytest.raises(NoBackend) as failed:
                await bench.dial()
            assert failed.value.local
        assert [each.failures for each in bench.pooled] == [0, 0]
        assert bench.counters.dials_failed.value == 0
        assert bench.counters.local_dial_errors.value == 6
        (told,) = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
        assert told == "out of descriptors, ports or memory: a: Too many open files"

    @on_virtual_clock
    async def test_the_other_backend_may_have_failed_by_itself(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Fault(OutOfResources("no port"))
        bench.backends[1].otherwise = Unavailable()
        with pytest.raises(NoBackend) as failed:
            await bench.dial()
        assert not failed.value.local
        assert [each.failures for each in bench.pooled] == [0, 1]

    @on_virtual_clock
    async def test_that_there_is_no_backend_is_no_want_of_our_own(self) -> None:
        bench = Bench("a")
        bench.pooled[0].enabled = False
        with pytest.raises(NoBackend) as failed:
            await bench.dial()
        assert not failed.value.local


class TestDeclined:
    @pytest.mark.parametrize("status", [302, 403, 429])
    @on_virtual_clock
    async def test_no_other_is_tried_for_a_new_client(self, status: int) -> None:
        bench = Bench("a", "b")
        bench.backends[0].will(Decline(status, (("X-A", "1"),), b"no"))
        with pytest.raises(BackendDeclined) as declined:
            await bench.dial()
        error = declined.value
        assert (error.status, error.headers, error.body) == (status, (("X-A", "1"),), b"no")
        assert bench.backends[1].requests == []
        assert bench.pooled[0].failures == 0
        assert bench.counters.dials_declined.value == 1

    @on_virtual_clock
    async def test_no_other_is_tried_for_a_session_that_is_not_wanted(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].will(Decline(403))
        with pytest.raises(BackendDeclined):
            await bench.dial(AGAIN)
        assert bench.backends[1].requests == []

    @on_virtual_clock
    async def test_some_statuses_count_as_unavailable_for_a_session(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].will(Decline(429))
        bench.backends[1].will(Accept("chat"))
        assert (await bench.dial(AGAIN)).backend.id == "b"
        assert bench.pooled[0].failures == 1


class TestSubprotocol:
    @pytest.mark.parametrize("chosen", ["chat", "soap", None])
    @on_virtual_clock
    async def test_the_first_backend_may_choose(self, chosen: str | None) -> None:
        bench = Bench("a")
        bench.backends[0].will(Accept(chosen))
        assert (await bench.dial()).connection.subprotocol == chosen

    @on_virtual_clock
    async def test_later_ones_must_choose_the_same(self) -> None:
        bench = Bench("a", "b", "c")
        bench.backends[0].will(Accept("soap"))
        bench.backends[1].will(Accept(None))
        bench.backends[2].will(Accept("chat"))
        assert (await bench.dial(AGAIN)).backend.id == "c"
        for backend in bench.backends[:2]:
            refused = backend.connections[0]
            assert refused.close_request is not None
            assert not refused.started
        assert [each.total for each in bench.pooled] == [0, 0, 1]

    @on_virtual_clock
    async def test_or_none_when_there_was_none(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].will(Accept("chat"))
        request = DialRequest("s1", "/chat", reconnect=True)
        assert (await bench.dial(request)).backend.id == "b"


@pytest.mark.parametrize("policy", get_args(Policy))
@on_virtual_clock
async def test_dials_that_fail_spread_over_the_others_too(policy: Policy) -> None:
    bench = Bench("a", "b", "c", policy=policy)
    bench.gates.change(100, 0)
    bench.backends[0].otherwise = Hang()
    dials = [asyncio.create_task(bench.dial()) for _ in range(27)]
    for dial in dials:
        (await dial).backend.active += 1
    assert sorted(each.active for each in bench.pooled) == [0, 13, 14]


@on_virtual_clock
async def test_dials_under_way_count_as_connections() -> None:
    bench = Bench("a", "b", policy="least-connections")
    for backend in bench.backends:
        backend.otherwise = Accept(after=1)
    bench.pooled[0].active = 10
    dials = [asyncio.create_task(bench.dial()) for _ in range(30)]  # most wait for their turn
    await idle()
    assert [each.dialling for each in bench.pooled] == [10, 20]
    await asyncio.gather(*dials)
    assert [each.dialling for each in bench.pooled] == [0, 0]


@on_virtual_clock
async def test_one_of_a_higher_number_is_dialled_when_the_others_have_failed() -> None:
    bench = Bench("a", "b", "c")
    bench.pooled[0].priority = 2
    bench.backends[1].otherwise = bench.backends[2].otherwise = Unavailable()
    for _ in range(3):
        assert (await bench.dial()).backend.id == "a"
    assert [len(backend.requests) for backend in bench.backends] == [3, 3, 3]
    bench.backends[2].otherwise = Accept()
    for _ in range(3):
        assert (await bench.dial()).backend.id == "c"


class TestBreaker:
    @on_virtual_clock
    async def test_a_tripped_backend_is_skipped_until_one_trial_is_due(self) -> None:
        bench = Bench("a")
        bench.backends[0].otherwise = Unavailable("no route")
        for _ in range(12):
            with pytest.raises(NoBackend):
                await bench.dial()
        assert len(bench.backends[0].requests) == 10
        assert bench.pooled[0].breaker.tripped
        await asyncio.sleep(0.7)
        bench.backends[0].otherwise = Hang()
        trial = asyncio.create_task(bench.dial())
        await bench.backends[0].until_dialled(11)
        with pytest.raises(NoBackend, match="untripped"):
            await bench.dial()
        with pytest.raises(NoBackend):
            await trial
        bench.backends[0].otherwise = Accept()
        await asyncio.sleep(1.3)
        await bench.dial()
        assert not bench.pooled[0].breaker.tripped

    @on_virtual_clock
    async def test_a_cancelled_trial_lets_the_next_one_try(self) -> None:
        bench = Bench("a")
        for _ in range(10):
            bench.pooled[0].failed(now(), "down")
        await asyncio.sleep(0.7)
        bench.backends[0].will(Hang())
        trial = asyncio.create_task(bench.dial())
        await bench.backends[0].until_dialled(1)
        trial.cancel()
        await asyncio.gather(trial, return_exceptions=True)
        await bench.dial()

    @on_virtual_clock
    async def test_declined_answers_do_not_count(self) -> None:
        bench = Bench("a")
        bench.backends[0].otherwise = Decline(403)
        for _ in range(30):
            with pytest.raises(BackendDeclined):
                await bench.dial()
        assert not bench.pooled[0].breaker.tripped

    @on_virtual_clock
    async def test_but_they_end_a_trial_well(self) -> None:
        bench = Bench("a")
        for _ in range(10):
            bench.pooled[0].failed(now(), "down")
        await asyncio.sleep(0.7)
        bench.backends[0].otherwise = Decline(403)
        with pytest.raises(BackendDeclined):
            await bench.dial()
        assert not bench.pooled[0].breaker.tripped
        assert bench.pooled[0].total == 0

    @on_virtual_clock
    async def test_what_we_lack_ourselves_does_not_count(self) -> None:
        bench = Bench("a")
        bench.backends[0].otherwise = Fault(OutOfResources("no descriptors"))
        for _ in range(30):
            with pytest.raises(NoBackend):
                await bench.dial()
        assert not bench.pooled[0].breaker.tripped
        assert bench.pooled[0].failures == 0

    @on_virtual_clock
    async def test_it_is_asked_again_before_each_dial(self) -> None:
        """Of two that are offered, the second may trip while the first is dialled."""
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        dialling = asyncio.create_task(bench.dial())
        await bench.backends[0].until_dialled(1)
        await asyncio.sleep(9.9)
        for _ in range(10):
            bench.pooled[1].failed(now(), "down")
        with pytest.raises(NoBackend):
            await dialling
        assert bench.backends[1].requests == []


class TestRemoved:
    @on_virtual_clock
    async def test_a_backend_that_is_removed_while_it_is_dialled_is_not_used(self) -> None:
        bench = Bench("a")
        bench.backends[0].will(Accept(after=1))
        dialling = asyncio.create_task(bench.dial())
        await bench.backends[0].until_dialled(1)
        bench.pool.remove(bench.pooled[0])
        with pytest.raises(NoBackend, match="was removed while it was dialled"):
            await dialling
        refused = bench.backends[0].connections[0]
        assert refused.close_request is not None
        assert not refused.started

    @pytest.mark.parametrize("turns", range(6))
    @on_virtual_clock
    async def test_nor_one_that_is_removed_in_the_moment_of_its_answer(self, turns: int) -> None:
        bench = Bench("a", "b")
        bench.backends[0].will(Accept(after=1))
        removed_before = []

        async def dial() -> PooledBackend:
            dialled = await bench.dial()
            removed_before.append(dialled.backend.removed)
            return dialled.backend

        dialling = asyncio.create_task(dial())
        await bench.backends[0].until_dialled(1)
        await asyncio.sleep(1)
        for _ in range(turns):
            await asyncio.sleep(0)
        bench.pool.remove(bench.pooled[0])

        used = await dialling
        assert removed_before == [False]
        refused = bench.backends[0].connections[0]
        assert (refused.close_request is None) is (used is bench.pooled[0])

    @on_virtual_clock
    async def test_nor_one_that_is_removed_before(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        dialling = asyncio.create_task(bench.dial())
        await bench.backends[0].until_dialled(1)
        bench.pool.remove(bench.pooled[1])
        with pytest.raises(NoBackend):
            await dialling
        assert bench.backends[1].requests == []


class TestGivenUp:
    """Dials that wait for an answer, while there is a better choice."""

    @pytest.mark.parametrize(
        ("happens", "told"),
        [
            (lambda bench: trip(bench.pooled[0]), "tripped"),
            (lambda bench: set_(bench.pooled[0], healthy=False), "was found unhealthy"),
            (lambda bench: set_(bench.pooled[0], enabled=False), "was disabled"),
            (lambda bench: bench.pool.remove(bench.pooled[0]), "was removed"),
        ],
    )
    @on_virtual_clock
    async def test_when_their_backend_is_usable_no_more(
        self, happens: Callable[[Bench], None], told: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        bench = Bench("a", "b")
        dials = await bench.hang(3)
        waiting = asyncio.create_task(bench.dial(last=bench.pooled[1]))
        await asyncio.sleep(1)

        happens(bench)
        failures = bench.pooled[0].failures

        assert [(await each).backend.id for each in (*dials, waiting)] == ["b"] * 4
        assert now() == pytest.approx(1, abs=0.1)  # the last has to wait for its turn
        assert bench.backends[0].cancelled == 3
        assert bench.pooled[0].failures == failures
        assert bench.counters.dials_failed.value == 0
        assert bench.counters.dials_given_up.value == 4
        assert [each.dialling for each in bench.pooled] == [0, 0]
        assert caplog.text.count(f"dial failed: a: {told} while it was dialled") == 4

    @on_virtual_clock
    async def test_by_a_backend_that_fails_until_it_trips(self) -> None:
        bench = Bench("a", "b")
        bench.gates.change(20, 0)
        bench.backends[0].will(*(Unavailable(after=1) for _ in range(10)))
        dials = await bench.hang(15)
        assert {(await each).backend.id for each in dials} == {"b"}
        assert now() == 1
        assert bench.pooled[0].failures == bench.counters.dials_failed.value == 10
        assert bench.counters.dials_given_up.value == 5

    @on_virtual_clock
    async def test_not_where_there_is_no_other(self) -> None:
        bench = Bench("a", "b")
        (dial,) = await bench.hang(1)
        bench.pooled[1].healthy = False
        trip(bench.pooled[0])
        bench.pool.add(PooledBackend("c", FakeBackend("c"), group="another"))
        await asyncio.sleep(5)
        assert bench.backends[0].cancelled == 0
        bench.pool.add(PooledBackend("d", FakeBackend("d")))
        assert (await dial).backend.id == "d"
        assert now() == 5

    @on_virtual_clock
    async def test_nor_where_all_others_were_tried(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].will(Unavailable())
        bench.backends[1].will(Accept(after=3))
        dialling = asyncio.create_task(bench.dial())
        await bench.backends[1].until_dialled(1)
        trip(bench.pooled[1])
        assert (await dialling).backend.id == "b"
        assert now() == 3

    @on_virtual_clock
    async def test_those_that_were_tried_are_tried_again_when_they_are_back(self) -> None:
        bench = Bench("a", "b")
        bench.backends[1].will(Unavailable())
        bench.backends[0].otherwise = Hang()
        dialling = asyncio.create_task(bench.dial(last=bench.pooled[0]))
        await bench.backends[0].until_dialled(1)
        trip(bench.pooled[1])
        await asyncio.sleep(2)
        assert (await bench.dial(last=bench.pooled[0])).backend.id == "b"  # the trial
        assert (await dialling).backend.id == "b"
        assert now() == 2
        assert bench.counters.dials_given_up.value == 1

    @on_virtual_clock
    async def test_before_they_wait_for_the_trial_of_a_backend_that_is_still_dialled(self) -> None:
        bench = Bench("a", "b")
        tripped, other = bench.pooled
        bench.backends[0].otherwise = Hang()
        bench.backends[1].will(*[Unavailable()] * 3)
        before = [asyncio.create_task(bench.dial(last=tripped)) for _ in range(3)]
        await bench.backends[0].until_dialled(3)
        trip(tripped)
        await asyncio.sleep(1)  # a trial is due
        assert (await bench.dial(last=other)).backend is other
        assert now() == 1
        assert bench.gates.waiting == 0
        assert [dial.done() for dial in before] == [False] * 3  # they have tried the other
        await asyncio.gather(*before, return_exceptions=True)

    @pytest.mark.parametrize("hedge_after", [0, 2])
    @on_virtual_clock
    async def test_not_for_ever_where_backends_come_and_go(self, hedge_after: float) -> None:
        bench = Bench("a", "b")
        for backend in bench.backends:
            backend.otherwise = Hang()

        async def come_and_go() -> None:
            while True:
                for backend in bench.pooled:
                    backend.healthy = False
                    await asyncio.sleep(1.1)
                    backend.healthy = True

        coming_and_going = asyncio.create_task(come_and_go())
        with pytest.raises(NoBackend):
            await bench.dial(hedge_after=hedge_after)
        assert now() < 3 * 10
        coming_and_going.cancel()

    @on_virtual_clock
    async def test_not_a_trial(self) -> None:
        bench = Bench("a", "b")
        trip(bench.pooled[0])
        await asyncio.sleep(1)
        (trial,) = await bench.hang(1)
        bench.pooled[1].healthy = False
        bench.pooled[1].healthy = True
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(trial, 9)
        assert bench.counters.dials_given_up.value == 0

    @pytest.mark.parametrize("seconds", [0.2, 3])
    @on_virtual_clock
    async def test_those_of_a_backend_that_was_just_lost_when_the_trial_of_another_succeeds(
        self, seconds: float
    ) -> None:
        """It may be frozen: none of its sessions waits for it when there is another again."""
        bench = Bench("a", "b")
        frozen, back = bench.pooled
        trip(back)
        await asyncio.sleep(1)
        bench.backends[0].otherwise = Hang()
        bench.backends[1].otherwise = Accept(after=seconds)
        dials = [asyncio.create_task(bench.dial(last=frozen)) for _ in range(3)]
        assert [(await dial).backend for dial in dials] == [back] * 3
        assert now() == pytest.approx(1 + 2 * seconds)
        assert bench.counters.dials_given_up.value == 2
        assert frozen.failures == 0

    @on_virtual_clock
    async def test_not_those_of_another_backend_that_may_well_answer(self) -> None:
        bench = Bench("a", "b")
        trip(bench.pooled[1])
        bench.backends[0].otherwise = Accept(after=3)
        dialling = asyncio.create_task(bench.dial())
        await bench.backends[0].until_dialled(1)
        bench.pooled[1].reset()
        assert (await dialling).backend.id == "a"

    @on_virtual_clock
    async def test_nothing_is_watched_any_more_when_they_are_over(self) -> None:
        bench = Bench("a", "b")
        (dial,) = await bench.hang(1)
        dial.cancel()
        await asyncio.gather(dial, return_exceptions=True)
        await bench.dial()
        trip(bench.pooled[0])
        assert bench.counters.dials_given_up.value == 0


class TestHedged:
    """A second backend is dialled while the first is silent."""

    @on_virtual_clock
    async def test_who_answers_first_is_taken(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        bench = Bench("a", "b", "c")
        bench.backends[0].otherwise = Hang()
        bench.backends[1].otherwise = Accept(after=1)
        dialled = await bench.dial(hedge_after=2)
        assert (dialled.backend.id, now()) == ("b", 3)
        await idle()
        assert bench.backends[0].cancelled == 1
        assert bench.backends[2].requests == []
        assert [each.failures for each in bench.pooled] == [1, 0, 0]
        assert [each.dialling for each in bench.pooled] == [0, 0, 0]
        assert bench.counters.dials_hedged.value == bench.counters.dials_failed.value == 1
        assert bench.counters.dials_given_up.value == 0
        assert "dial failed: a: another backend answered while it was dialled" in caplog.text
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @on_virtual_clock
    async def test_also_when_that_is_the_first_that_was_dialled(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Accept(after=3)
        bench.backends[1].otherwise = Hang()
        dialled = await bench.dial(hedge_after=2)
        assert (dialled.backend.id, now()) == ("a", 3)
        await idle()
        assert bench.backends[1].cancelled == 1
        assert [each.failures for each in bench.pooled] == [0, 0]
        assert bench.counters.dials_given_up.value == 1  # it had no time to be slow

    @on_virtual_clock
    async def test_of_two_that_answer_together_one_is_closed(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Accept(after=3)
        bench.backends[1].otherwise = Accept(after=1)
        dialled = await bench.dial(hedge_after=2)
        await idle()
        (kept,) = (each for each in bench.backends if each.backend_id == dialled.backend.id)
        (other,) = (each for each in bench.backends if each is not kept)
        assert kept.connections[0].close_request is None
        assert other.connections[0].close_request is not None
        assert not other.connections[0].started

    @on_virtual_clock
    async def test_two_at_once_at_most(self) -> None:
        bench = Bench("a", "b", "c")
        for backend in bench.backends:
            backend.otherwise = Hang()
        dialling = asyncio.create_task(bench.dial(hedge_after=2))
        await asyncio.sleep(9)
        assert [len(each.requests) for each in bench.backends] == [1, 1, 0]
        with pytest.raises(NoBackend):
            await dialling
        assert [len(each.requests) for each in bench.backends] == [1, 1, 1]
        assert now() == 20

    @on_virtual_clock
    async def test_the_first_to_fail_makes_room_for_the_next(self) -> None:
        bench = Bench("a", "b", "c")
        bench.backends[0].otherwise = Hang()
        bench.backends[1].otherwise = Unavailable(after=1)
        assert (await bench.dial(hedge_after=2)).backend.id == "c"
        assert now() == 3
        assert bench.counters.dials_hedged.value == 2

    @on_virtual_clock
    async def test_those_that_have_failed_are_tried_again_meanwhile(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        bench.backends[1].will(Unavailable(), Unavailable())
        lost = bench.pooled[0]
        assert (await bench.dial(last=lost, hedge_after=1)).backend.id == "b"
        assert now() == 3  # none is left at 1, tried again at 2 and 3

    @on_virtual_clock
    async def test_but_not_the_one_that_is_dialled(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        bench.backends[1].otherwise = Unavailable(after=1)
        dialling = asyncio.create_task(bench.dial(hedge_after=2))
        await bench.backends[1].until_dialled(1)
        trip(bench.pooled[0])
        bench.pooled[0].reset()  # it is usable again
        await asyncio.sleep(2)
        assert [len(each.requests) for each in bench.backends] == [1, 1]
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)

    @on_virtual_clock
    async def test_but_not_for_ever(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = bench.backends[1].otherwise = Hang()
        with pytest.raises(NoBackend):
            await bench.dial(hedge_after=1)
        assert now() == 11
        assert [len(each.requests) for each in bench.backends] == [1, 1]
        bench.backends[1].otherwise = Unavailable()
        with pytest.raises(NoBackend):
            await bench.dial(last=bench.pooled[0], hedge_after=1)
        assert now() == 21

    @on_virtual_clock
    async def test_not_beside_one_that_answers_others(self) -> None:
        """It is busy, and twice as many dials would make that worse."""
        bench = Bench("a", "b")
        bench.gates.change(100, 0)
        bench.pooled[1].priority = 2
        bench.backends[0].otherwise = Accept(after=5)
        bench.backends[1].otherwise = Hang()
        dials = []
        for _ in range(20):
            dials.append(asyncio.create_task(bench.dial(hedge_after=3)))
            await asyncio.sleep(1)
        assert bench.counters.dials_hedged.value == 2  # until the first answer
        bench.backends[0].will(Hang())
        bench.backends[1].otherwise = Accept()
        slow = asyncio.create_task(bench.dial(hedge_after=3))
        assert {(await dial).backend.id for dial in dials} == {"a"}
        assert bench.counters.dials_hedged.value == 2
        assert now() == 24
        assert (await slow).backend.id == "b"
        assert now() == 27

    @on_virtual_clock
    async def test_who_waits_for_a_turn_at_a_silent_one_does_not_wait_long(self) -> None:
        bench = Bench("a", "b")
        await bench.hang(3)
        assert (await bench.dial(last=bench.pooled[1], hedge_after=2)).backend.id == "b"
        assert now() == 2
        await idle()
        assert bench.pooled[0].failures == 0  # it was not asked
        assert bench.counters.dials_given_up.value == 1

    @on_virtual_clock
    async def test_the_second_waits_for_its_turn(self) -> None:
        bench = Bench("a", "b")
        bench.gates.change(1, 0)
        await bench.hang(1)
        bench.backends[1].otherwise = Accept(after=4)
        dials = [
            asyncio.create_task(bench.dial(last=bench.pooled[1], hedge_after=2)) for _ in range(2)
        ]
        await asyncio.sleep(3)
        assert len(bench.backends[1].requests) == 1
        assert {(await dial).backend.id for dial in dials} == {"b"}
        assert now() == 10

    @on_virtual_clock
    async def test_a_backend_that_is_always_outrun_trips(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        for _ in range(40):
            assert (await bench.dial(hedge_after=2)).backend.id == "b"
            await idle()
        assert bench.pooled[0].breaker.tripped
        assert len(bench.backends[0].requests) == 10
        assert now() == 20

    @on_virtual_clock
    async def test_a_trial_is_hedged_too_and_has_failed_then(self) -> None:
        bench = Bench("a", "b")
        trip(bench.pooled[0])
        await asyncio.sleep(1)
        bench.backends[0].otherwise = Hang()
        assert (await bench.dial(last=bench.pooled[1], hedge_after=2)).backend.id == "b"
        await idle()
        assert bench.backends[0].cancelled == 1
        assert bench.pooled[0].breaker.tripped
        assert not bench.pooled[0].breaker.allows(now())
        assert bench.pooled[0].breaker.allows(now() + 3)

    @on_virtual_clock
    async def test_the_second_may_decline(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        bench.backends[1].will(Decline(403))
        with pytest.raises(BackendDeclined):
            await bench.dial(hedge_after=2)
        assert bench.backends[0].cancelled == 1
        assert bench.pooled[0].failures == 0

    @on_virtual_clock
    async def test_both_end_at_the_deadline(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = bench.backends[1].otherwise = Hang()
        with pytest.raises(NoBackend):
            await bench.dial(AGAIN, deadline=5, hedge_after=2)
        assert now() == 5

    @on_virtual_clock
    async def test_being_cancelled_leaves_neither(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = bench.backends[1].otherwise = Hang()
        dialling = asyncio.create_task(bench.dial(hedge_after=2))
        await bench.backends[1].until_dialled(1)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        assert [each.cancelled for each in bench.backends] == [1, 1]
        assert [each.dialling for each in bench.pooled] == [0, 0]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @on_virtual_clock
    async def test_a_connection_that_comes_as_the_client_leaves_is_closed(self) -> None:
        bench = Bench("a")
        bench.backends[0].otherwise = Accept(after=1)
        dialling = asyncio.create_task(bench.dial())
        await idle()
        asyncio.get_running_loop().call_later(1, dialling.cancel)
        await asyncio.gather(dialling, return_exceptions=True)
        await idle()
        for connection in bench.backends[0].connections:
            assert connection.close_request is not None

    @on_virtual_clock
    async def test_without_the_option_there_is_none(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        await bench.dial()
        assert now() == 10
        assert bench.counters.dials_hedged.value == 0


@on_virtual_clock
async def test_a_backend_is_not_dialled_by_too_many_at_once() -> None:
    bench = Bench("a", "b")
    bench.pooled[1].enabled = False
    bench.backends[0].otherwise = Accept(after=1)
    dials = [asyncio.create_task(bench.dial()) for _ in range(10)]
    for number in range(4):
        await asyncio.sleep(0.99)
        assert bench.backends[0].cancelled == 0
        assert len(bench.backends[0].requests) <= 3 * (number + 1)
        assert bench.gates.waiting >= 7 - 3 * number
    await asyncio.gather(*dials)
    assert bench.gates.waiting == 0
    assert bench.pooled[0].total == 10


@on_virtual_clock
async def test_nor_by_several_diallers_together() -> None:
    bench = Bench("a")
    bench.backends[0].otherwise = Accept(after=1)
    diallers = [bench.dialler, bench.another_dialler(), bench.another_dialler()]
    dials = [
        asyncio.create_task(each.dial(FIRST, RecordingSink, timeout=100))
        for each in diallers
        for _ in range(3)
    ]
    await idle()
    assert (len(bench.backends[0].requests), bench.gates.waiting) == (3, 6)
    bench.gates.change(5, 0.0)
    await idle()
    assert (len(bench.backends[0].requests), bench.gates.waiting) == (5, 4)
    await asyncio.gather(*dials)


@on_virtual_clock
async def test_a_changed_bound_is_that_of_new_backends_too() -> None:
    bench = Bench("a")
    bench.gates.change(1, 0.0)
    bench.backends[0].otherwise = Accept(after=1)
    dials = [asyncio.create_task(bench.dial()) for _ in range(3)]
    await idle()
    assert (len(bench.backends[0].requests), bench.gates.waiting) == (1, 2)
    await asyncio.gather(*dials)


@on_virtual_clock
async def test_who_does_not_get_its_turn_in_time_blames_nobody() -> None:
    bench = Bench("a")
    bench.backends[0].otherwise = Hang()
    crowd = [asyncio.create_task(bench.dial()) for _ in range(3)]
    await idle()
    with pytest.raises(NoBackend, match="left no room for 5 s"):
        await bench.dial(deadline=5)
    assert bench.pooled[0].failures == bench.counters.dials_failed.value == 0
    await asyncio.gather(*crowd, return_exceptions=True)
    assert bench.pooled[0].failures == 3  # those that hung


@on_virtual_clock
async def test_whose_turn_comes_when_the_backend_has_tripped_does_not_dial() -> None:
    bench = Bench("a", "b")
    bench.pooled[1].enabled = False
    bench.backends[0].otherwise = Unavailable(after=1)
    dials = [asyncio.create_task(bench.dial()) for _ in range(30)]
    assert all(
        isinstance(each, NoBackend) for each in await asyncio.gather(*dials, return_exceptions=True)
    )
    assert bench.pooled[0].breaker.tripped
    assert len(bench.backends[0].requests) < 15


@on_virtual_clock
async def test_being_cancelled_leaves_nothing() -> None:
    bench = Bench("a", "b")
    bench.backends[0].otherwise = Hang()
    dialling = asyncio.create_task(bench.dial())
    await bench.backends[0].until_dialled(1)
    dialling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialling
    await idle()
    assert bench.backends[0].cancelled == 1
    assert bench.backends[1].requests == []
    assert bench.pooled[0].failures == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


@on_virtual_clock
async def test_who_waits_while_the_backend_is_disabled_does_not_dial_it() -> None:
    bench = Bench("a", "b")
    bench.pooled[1].enabled = False
    bench.backends[0].otherwise = Accept(after=1)
    first = [asyncio.create_task(bench.dial()) for _ in range(3)]
    await idle()
    late = asyncio.create_task(bench.dial())
    await idle()
    bench.pooled[0].enabled = False
    with pytest.raises(NoBackend, match="taken out"):
        await late
    assert {each.backend for each in await asyncio.gather(*first)} == {bench.pooled[0]}


@on_virtual_clock
async def test_nothing_is_kept_of_a_backend_that_is_gone() -> None:
    bench = Bench("a")
    await bench.dial()
    gone = weakref.ref(bench.pooled.pop())
    bench.pool.remove(bench.pool.backends[0])
    bench.pool.forget(_of(gone))
    gc.collect()
    assert gone() is None


def _of(reference: weakref.ref[PooledBackend]) -> PooledBackend:
    backend = reference()
    assert backend is not None
    return backend
