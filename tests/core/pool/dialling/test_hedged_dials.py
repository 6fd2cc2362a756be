"""While a backend is silent, another one is dialled in parallel."""

from __future__ import annotations

import asyncio
import logging

import pytest

from wsgw_core.api import BackendDeclined
from wsgw_core.pool.dialling.backend_search import NoBackend
from wsgw_core.testing.fakes import Accept, Decline, Hang, Unavailable
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..dial_bench import AGAIN, Bench, now, trip


class TestHedged:
    """A second backend is dialled in parallel to a silent one."""

    @on_virtual_clock
    async def test_the_first_of_two_parallel_dials_to_succeed_wins(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
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
        assert "dial failed: a: another backend answered first during the dial" in caplog.text
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @on_virtual_clock
    async def test_the_slow_first_dial_wins_if_it_succeeds_first(self) -> None:
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
    async def test_of_two_simultaneous_connections_one_is_closed(self) -> None:
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
    async def test_at_most_two_dials_run_in_parallel(self) -> None:
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
    async def test_a_failed_dial_makes_room_for_the_next(self) -> None:
        bench = Bench("a", "b", "c")
        bench.backends[0].otherwise = Hang()
        bench.backends[1].otherwise = Unavailable(after=1)
        assert (await bench.dial(hedge_after=2)).backend.id == "c"
        assert now() == 3
        assert bench.counters.dials_hedged.value == 2

    @on_virtual_clock
    async def test_failed_backends_are_tried_again_beside_a_silent_one(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        bench.backends[1].will(Unavailable(), Unavailable())
        lost = bench.pooled[0]
        assert (await bench.dial(last=lost, hedge_after=1)).backend.id == "b"
        assert now() == 3  # none is left at 1, tried again at 2 and 3

    @on_virtual_clock
    async def test_the_backend_being_dialled_is_not_tried_again(self) -> None:
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
    async def test_failed_backends_are_tried_again_no_longer_than_one_dial_may_take(self) -> None:
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
    async def test_a_backend_that_answers_other_dials_is_not_hedged(self) -> None:
        """It is busy, and more dials would make that worse."""
        bench = Bench("a", "b")
        bench.limiters.change(100, 0)
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
    async def test_a_dial_waiting_for_its_turn_is_hedged(self) -> None:
        bench = Bench("a", "b")
        await bench.hang(3)
        assert (await bench.dial(last=bench.pooled[1], hedge_after=2)).backend.id == "b"
        assert now() == 2
        await idle()
        assert bench.pooled[0].failures == 0  # it was not asked
        assert bench.counters.dials_given_up.value == 1

    @on_virtual_clock
    async def test_the_second_dial_waits_for_its_turn(self) -> None:
        bench = Bench("a", "b")
        bench.limiters.change(1, 0)
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
    async def test_a_backend_that_always_loses_the_hedge_trips(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        for _ in range(40):
            assert (await bench.dial(hedge_after=2)).backend.id == "b"
            await idle()
        assert bench.pooled[0].breaker.tripped
        assert len(bench.backends[0].requests) == 10
        assert now() == 20

    @on_virtual_clock
    async def test_a_hedged_trial_that_loses_has_failed(self) -> None:
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
    async def test_the_second_dial_may_decline(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        bench.backends[1].will(Decline(403))
        with pytest.raises(BackendDeclined):
            await bench.dial(hedge_after=2)
        assert bench.backends[0].cancelled == 1
        assert bench.pooled[0].failures == 0

    @on_virtual_clock
    async def test_both_dials_end_at_the_deadline(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = bench.backends[1].otherwise = Hang()
        with pytest.raises(NoBackend):
            await bench.dial(AGAIN, deadline=5, hedge_after=2)
        assert now() == 5

    @on_virtual_clock
    async def test_a_second_that_is_due_just_before_the_deadline_is_not_dialled(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        with pytest.raises(NoBackend):
            await bench.dial(AGAIN, deadline=5, hedge_after=4.995)
        assert now() == 5
        assert bench.backends[1].requests == []

    @on_virtual_clock
    async def test_a_cancelled_search_cancels_both_dials(self) -> None:
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
    async def test_without_hedge_after_there_is_no_second_dial(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].otherwise = Hang()
        await bench.dial()
        assert now() == 10
        assert bench.counters.dials_hedged.value == 0
