"""Dialling tries each backend once and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref

import pytest

from wsgw_core.api import (
    BackendDeclined,
    BackendUnreachable,
    DialRequest,
    OutOfResources,
    Policy,
    Sink,
)
from wsgw_core.policies import LeastConnections, RoundRobin
from wsgw_core.pool.backends.backend_pool import PooledBackend
from wsgw_core.pool.dialling.backend_search import NoBackend
from wsgw_core.pool.dialling.dial import DialTerms
from wsgw_core.testing.fakes import Accept, Decline, FakeBackend, Fault, Hang, Unavailable
from wsgw_core.testing.recording_sink import RecordingSink
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..dial_bench import AGAIN, FIRST, Bench, now, trip


@on_virtual_clock
async def test_backends_that_replace_removed_ones_meanwhile_are_tried() -> None:
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
    assert dialled.connection.plugin_connection is bench.backends[0].connections[0]
    assert bench.backends[0].connections[0].sink is dialled.sink
    assert bench.backends[0].requests == [FIRST]
    assert bench.pooled[0].total == 1
    assert bench.counters.dials_succeeded.value == 1


@on_virtual_clock
async def test_a_result_that_is_no_connection_is_a_fault_of_the_plugin(
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
async def test_a_cancellation_within_a_plugin_is_a_fault_of_the_plugin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def be_cancelled(_request: DialRequest, _sink: Sink) -> None:
        raise asyncio.CancelledError

    bench = Bench("a", "b")
    monkeypatch.setattr(bench.backends[0], "connect", be_cancelled)
    dialled = await bench.dial()
    assert dialled.backend is bench.pooled[1]
    assert bench.pooled[0].failures == 1


@on_virtual_clock
async def test_each_backend_is_tried_once() -> None:
    bench = Bench("a", "b", "c")
    bench.backends[0].otherwise = Unavailable("no route")
    bench.backends[1].otherwise = Fault(KeyError("bug"))
    bench.backends[2].otherwise = Hang()
    with pytest.raises(NoBackend) as failed:
        await bench.dial()
    assert str(failed.value) == (
        "a: no route; b: its plugin raised KeyError; c: dial took longer than 10 s"
    )
    assert [len(backend.requests) for backend in bench.backends] == [1, 1, 1]
    assert len({id(backend.requests[0]) for backend in bench.backends}) == 1
    assert [each.failures for each in bench.pooled] == [1, 1, 1]
    assert bench.counters.dials_failed.value == 3
    assert len(set(map(id, bench.sinks))) == 3


@on_virtual_clock
async def test_the_next_backend_is_tried_when_one_fails() -> None:
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
async def test_a_deadline_limits_all_dials_together() -> None:
    bench = Bench("a", "b", "c")
    for backend in bench.backends:
        backend.otherwise = Hang()
    with pytest.raises(NoBackend):
        await bench.dial(AGAIN, deadline=now() + 15)
    assert now() == 15
    assert [len(backend.requests) for backend in bench.backends] == [1, 1, 0]


@on_virtual_clock
async def test_the_backend_just_lost_is_tried_last() -> None:
    bench = Bench("a", "b")
    assert (await bench.dial(last=bench.pooled[0])).backend.id == "b"


@on_virtual_clock
async def test_without_an_enabled_backend_the_search_fails() -> None:
    bench = Bench("a")
    bench.pooled[0].enabled = False
    with pytest.raises(NoBackend, match="no backend is enabled"):
        await bench.dial()


@on_virtual_clock
async def test_a_fault_in_a_plugin_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench("a", "b")
    bench.backends[0].otherwise = Fault(ZeroDivisionError("bug"))
    await bench.dial()
    record = next(each for each in caplog.records if "raised an error" in each.message)
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


class TestWantOfOurOwn:
    @on_virtual_clock
    async def test_a_lack_of_resources_does_not_count_against_the_backend(
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
        assert told == "the gateway cannot dial: a: Too many open files"

    @on_virtual_clock
    async def test_one_failure_of_a_backend_makes_the_result_not_local(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Fault(OutOfResources("no port"))
        bench.backends[1].otherwise = Unavailable()
        with pytest.raises(NoBackend) as failed:
            await bench.dial()
        assert not failed.value.local
        assert [each.failures for each in bench.pooled] == [0, 1]

    @on_virtual_clock
    async def test_having_no_backend_is_not_a_local_failure(self) -> None:
        bench = Bench("a")
        bench.pooled[0].enabled = False
        with pytest.raises(NoBackend) as failed:
            await bench.dial()
        assert not failed.value.local


class TestDeclined:
    @pytest.mark.parametrize("status", [302, 403, 429])
    @on_virtual_clock
    async def test_a_declined_new_client_gets_no_other_backend(self, status: int) -> None:
        bench = Bench("a", "b")
        bench.backends[0].will(Decline(status, (("X-A", "1"),), b"no"))
        with pytest.raises(BackendDeclined) as declined:
            await bench.dial()
        error = declined.value
        assert (error.status, error.headers, error.body) == (status, (("X-A", "1"),), b"no")
        assert bench.backends[1].requests == []
        assert bench.pooled[0].failures == 0
        assert bench.counters.dials_declined.value == 1

    @pytest.mark.parametrize("again", [False, True])
    @on_virtual_clock
    async def test_status_407_is_an_unusable_answer(self, *, again: bool) -> None:
        bench = Bench("a", "b")
        bench.backends[0].will(Decline(407))
        bench.backends[1].will(Accept("chat"))
        dialled = await (bench.dial(AGAIN) if again else bench.dial())
        assert dialled.backend.id == "b"
        assert bench.counters.dials_declined.value == 0

    @on_virtual_clock
    async def test_a_declined_session_gets_no_other_backend(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].will(Decline(403))
        with pytest.raises(BackendDeclined):
            await bench.dial(AGAIN)
        assert bench.backends[1].requests == []

    @on_virtual_clock
    async def test_a_session_gets_another_backend_after_a_retry_status(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].will(Decline(429))
        bench.backends[1].will(Accept("chat"))
        assert (await bench.dial(AGAIN)).backend.id == "b"
        assert bench.pooled[0].failures == 1


class TestSubprotocol:
    @pytest.mark.parametrize("chosen", ["chat", "soap", None])
    @on_virtual_clock
    async def test_the_first_backend_chooses_the_subprotocol(self, chosen: str | None) -> None:
        bench = Bench("a")
        bench.backends[0].will(Accept(chosen))
        assert (await bench.dial()).connection.subprotocol == chosen

    @on_virtual_clock
    async def test_a_later_backend_must_choose_the_same_subprotocol(self) -> None:
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
    async def test_a_later_backend_must_choose_none_if_the_session_has_none(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].will(Accept("chat"))
        request = DialRequest("s1", "/chat", reconnect=True)
        assert (await bench.dial(request)).backend.id == "b"


@pytest.mark.parametrize("policy", [RoundRobin(), LeastConnections()])
@on_virtual_clock
async def test_clients_of_a_silent_backend_spread_over_the_others(policy: Policy) -> None:
    bench = Bench("a", "b", "c", policy=policy)
    bench.limiters.change(100, 0)
    bench.backends[0].otherwise = Hang()
    dials = [asyncio.create_task(bench.dial()) for _ in range(27)]
    for dial in dials:
        (await dial).backend.active += 1
    assert sorted(each.active for each in bench.pooled) == [0, 13, 14]


@on_virtual_clock
async def test_dials_in_progress_count_as_connections() -> None:
    bench = Bench("a", "b", policy=LeastConnections())
    for backend in bench.backends:
        backend.otherwise = Accept(after=1)
    bench.pooled[0].active = 10
    dials = [asyncio.create_task(bench.dial()) for _ in range(30)]  # most wait for their turn
    await idle()
    assert [each.dialling for each in bench.pooled] == [10, 20]
    await asyncio.gather(*dials)
    assert [each.dialling for each in bench.pooled] == [0, 0]


@on_virtual_clock
async def test_a_higher_priority_number_is_dialled_when_the_others_failed() -> None:
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
        bench = Bench("a", "b")
        bench.pooled[1].priority = 2
        bench.backends[0].otherwise = Unavailable("no route")
        for _ in range(12):
            assert (await bench.dial()).backend.id == "b"
        assert len(bench.backends[0].requests) == 10
        assert bench.pooled[0].breaker.tripped
        await asyncio.sleep(0.7)
        bench.backends[0].otherwise = Hang()
        trial = asyncio.create_task(bench.dial())
        await bench.backends[0].until_dialled(11)
        assert (await bench.dial()).backend.id == "b"
        assert (await trial).backend.id == "b"
        bench.backends[0].otherwise = Accept()
        await asyncio.sleep(1.3)
        assert (await bench.dial()).backend.id == "a"
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
    async def test_a_declined_answer_ends_a_trial_with_success(self) -> None:
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
    async def test_a_lack_of_resources_does_not_trip_the_breaker(self) -> None:
        bench = Bench("a")
        bench.backends[0].otherwise = Fault(OutOfResources("no descriptors"))
        for _ in range(30):
            with pytest.raises(NoBackend):
                await bench.dial()
        assert not bench.pooled[0].breaker.tripped
        assert bench.pooled[0].failures == 0

    @on_virtual_clock
    async def test_the_breaker_is_checked_again_before_each_dial(self) -> None:
        """The second of three backends may trip while the first is dialled."""
        bench = Bench("a", "b", "c")
        bench.backends[0].otherwise = Hang()
        dialling = asyncio.create_task(bench.dial())
        await bench.backends[0].until_dialled(1)
        await asyncio.sleep(9.9)
        trip(bench.pooled[1])
        assert (await dialling).backend.id == "c"
        assert bench.backends[1].requests == []


class TestRemoved:
    @on_virtual_clock
    async def test_a_backend_that_is_removed_while_it_is_dialled_is_not_used(self) -> None:
        bench = Bench("a")
        bench.backends[0].will(Accept(after=1))
        dialling = asyncio.create_task(bench.dial())
        await bench.backends[0].until_dialled(1)
        bench.pool.remove(bench.pooled[0])
        with pytest.raises(NoBackend, match="was removed during the dial"):
            await dialling
        refused = bench.backends[0].connections[0]
        assert refused.close_request is not None
        assert not refused.started

    @pytest.mark.parametrize("turns", range(6))
    @on_virtual_clock
    async def test_a_backend_removed_at_its_answer_is_not_used(self, turns: int) -> None:
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
    async def test_a_backend_removed_before_its_dial_is_not_used(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        dialling = asyncio.create_task(bench.dial())
        await bench.backends[0].until_dialled(1)
        bench.pool.remove(bench.pooled[1])
        with pytest.raises(NoBackend):
            await dialling
        assert bench.backends[1].requests == []


@on_virtual_clock
async def test_the_limiter_limits_the_dials_of_one_dialler() -> None:
    bench = Bench("a", "b")
    bench.pooled[1].enabled = False
    bench.backends[0].otherwise = Accept(after=1)
    dials = [asyncio.create_task(bench.dial()) for _ in range(10)]
    for number in range(4):
        await asyncio.sleep(0.99)
        assert bench.backends[0].cancelled == 0
        assert len(bench.backends[0].requests) <= 3 * (number + 1)
        assert bench.limiters.waiting >= 7 - 3 * number
    await asyncio.gather(*dials)
    assert bench.limiters.waiting == 0
    assert bench.pooled[0].total == 10


@on_virtual_clock
async def test_the_limiter_limits_the_dials_of_several_diallers_together() -> None:
    bench = Bench("a")
    bench.backends[0].otherwise = Accept(after=1)
    diallers = [bench.dialler, bench.another_dialler(), bench.another_dialler()]
    dials = [
        asyncio.create_task(each.dial(DialTerms(FIRST, RecordingSink, timeout=100)))
        for each in diallers
        for _ in range(3)
    ]
    await idle()
    assert (len(bench.backends[0].requests), bench.limiters.waiting) == (3, 6)
    bench.limiters.change(5, 0.0)
    await idle()
    assert (len(bench.backends[0].requests), bench.limiters.waiting) == (5, 4)
    await asyncio.gather(*dials)


@on_virtual_clock
async def test_a_changed_limit_applies_to_new_backends() -> None:
    bench = Bench("a")
    bench.limiters.change(1, 0.0)
    bench.backends[0].otherwise = Accept(after=1)
    dials = [asyncio.create_task(bench.dial()) for _ in range(3)]
    await idle()
    assert (len(bench.backends[0].requests), bench.limiters.waiting) == (1, 2)
    await asyncio.gather(*dials)


@on_virtual_clock
async def test_a_dial_that_gets_no_turn_in_time_does_not_count() -> None:
    bench = Bench("a")
    bench.backends[0].otherwise = Hang()
    crowd = [asyncio.create_task(bench.dial()) for _ in range(3)]
    await idle()
    with pytest.raises(NoBackend, match="no free dial slot for 5 s"):
        await bench.dial(deadline=5)
    assert bench.pooled[0].failures == bench.counters.dials_failed.value == 0
    await asyncio.gather(*crowd, return_exceptions=True)
    assert bench.pooled[0].failures == 3  # those that hung


@on_virtual_clock
async def test_a_backend_that_was_waited_for_in_vain_has_had_its_turn() -> None:
    """Otherwise each client would wait for it first."""
    bench = Bench("a", "b")
    for _ in range(3):
        await bench.limiters.of(bench.pooled[0]).enter()
    began = now()
    assert (await bench.dial(timeout=5)).backend.id == "b"
    assert now() == pytest.approx(began + 5)
    assert (await bench.dial(timeout=5)).backend.id == "b"
    assert now() == pytest.approx(began + 5)


@on_virtual_clock
async def test_unanswered_requests_leave_room_for_others() -> None:
    bench = Bench("a")
    bench.limiters.change(3, 0.0, slow_after=2)
    bench.backends[0].otherwise = Hang()
    crowd = [asyncio.create_task(bench.dial()) for _ in range(50)]
    await asyncio.sleep(1)
    bench.backends[0].otherwise = Accept()
    assert (await bench.dial()).backend.id == "a"
    assert now() == 2
    await asyncio.gather(*crowd[3:])  # which are let in by its answer
    assert now() == 2
    await asyncio.gather(*crowd, return_exceptions=True)


@on_virtual_clock
async def test_a_dial_waiting_for_an_unreachable_backend_fails_with_it() -> None:
    bench = Bench("a")
    bench.backends[0].otherwise = Unavailable("refused", after=1, error=BackendUnreachable)
    dials = [asyncio.create_task(bench.dial()) for _ in range(30)]
    assert all(
        isinstance(each, NoBackend) for each in await asyncio.gather(*dials, return_exceptions=True)
    )
    assert bench.pooled[0].breaker.tripped
    assert len(bench.backends[0].requests) < 15


@on_virtual_clock
async def test_a_cancelled_search_leaves_nothing() -> None:
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
async def test_a_dial_that_waits_while_its_backend_is_disabled_fails() -> None:
    bench = Bench("a", "b")
    bench.pooled[1].enabled = False
    bench.backends[0].otherwise = Accept(after=1)
    first = [asyncio.create_task(bench.dial()) for _ in range(3)]
    await idle()
    late = asyncio.create_task(bench.dial())
    await idle()
    bench.pooled[0].enabled = False
    with pytest.raises(NoBackend, match="disabled or removed"):
        await late
    assert {each.backend for each in await asyncio.gather(*first)} == {bench.pooled[0]}


@on_virtual_clock
async def test_no_limiter_is_kept_of_a_removed_backend() -> None:
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
