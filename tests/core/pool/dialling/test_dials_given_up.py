"""A dial is given up when another backend is the better choice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from wsgw_core.pool.backends.backend_pool import PooledBackend
from wsgw_core.pool.dialling.backend_search import NoBackend
from wsgw_core.testing.fakes import Accept, FakeBackend, Hang, Unavailable
from wsgw_core.testing.virtual_clock import on_virtual_clock

from ..dial_bench import Bench, now, set_, trip


class TestGivenUp:
    """Dials without an answer, while there is a better choice."""

    @pytest.mark.parametrize(
        ("happens", "told"),
        [
            (lambda bench: trip(bench.pooled[0]), "tripped"),
            (lambda bench: set_(bench.pooled[0], healthy=False), "became unhealthy"),
            (lambda bench: set_(bench.pooled[0], enabled=False), "was disabled"),
            (lambda bench: bench.pool.remove(bench.pooled[0]), "was removed"),
        ],
    )
    @on_virtual_clock
    async def test_a_dial_is_given_up_when_its_backend_becomes_unusable(
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
        assert caplog.text.count(f"dial failed: a: {told} during the dial") == 4

    @on_virtual_clock
    async def test_dials_are_given_up_when_their_backend_trips(self) -> None:
        bench = Bench("a", "b")
        bench.limiters.change(20, 0)
        bench.backends[0].will(*(Unavailable(after=1) for _ in range(10)))
        dials = await bench.hang(15)
        assert {(await each).backend.id for each in dials} == {"b"}
        assert now() == 1
        assert bench.pooled[0].failures == bench.counters.dials_failed.value == 10
        assert bench.counters.dials_given_up.value == 5

    @on_virtual_clock
    async def test_the_first_reason_to_give_a_dial_up_is_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        bench = Bench("a", "b", "c")
        (dial,) = await bench.hang(1)
        bench.pooled[0].healthy = False
        bench.pooled[0].enabled = False
        bench.pooled[1].healthy = False  # the dial looks again whether there is a better choice
        assert (await dial).backend.id == "c"
        assert "dial failed: a: became unhealthy during the dial" in caplog.text

    @on_virtual_clock
    async def test_a_dial_without_another_backend_goes_on(self) -> None:
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
    async def test_a_dial_goes_on_if_all_others_were_tried(self) -> None:
        bench = Bench("a", "b")
        bench.backends[0].will(Unavailable())
        bench.backends[1].will(Accept(after=3))
        dialling = asyncio.create_task(bench.dial())
        await bench.backends[1].until_dialled(1)
        trip(bench.pooled[1])
        assert (await dialling).backend.id == "b"
        assert now() == 3

    @on_virtual_clock
    async def test_a_tried_backend_is_tried_again_when_it_is_back(self) -> None:
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
    async def test_a_dial_is_given_up_before_it_waits_for_a_trial(self) -> None:
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
        assert bench.limiters.waiting == 0
        assert [dial.done() for dial in before] == [False] * 3  # they have tried the other
        await asyncio.gather(*before, return_exceptions=True)

    @pytest.mark.parametrize("hedge_after", [0, 2])
    @on_virtual_clock
    async def test_flapping_backends_are_not_tried_for_ever(self, hedge_after: float) -> None:
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
    async def test_a_trial_is_not_given_up(self) -> None:
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
    async def test_the_dial_of_a_lost_backend_is_given_up_when_another_is_back(
        self, seconds: float
    ) -> None:
        """The lost backend may be frozen."""
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
    async def test_the_dial_of_a_usable_backend_goes_on_when_another_is_back(self) -> None:
        bench = Bench("a", "b")
        trip(bench.pooled[1])
        bench.backends[0].otherwise = Accept(after=3)
        dialling = asyncio.create_task(bench.dial())
        await bench.backends[0].until_dialled(1)
        bench.pooled[1].reset()
        assert (await dialling).backend.id == "a"

    @on_virtual_clock
    async def test_no_watcher_stays_after_a_dial(self) -> None:
        bench = Bench("a", "b")
        (dial,) = await bench.hang(1)
        dial.cancel()
        await asyncio.gather(dial, return_exceptions=True)
        await bench.dial()
        trip(bench.pooled[0])
        assert bench.counters.dials_given_up.value == 0
