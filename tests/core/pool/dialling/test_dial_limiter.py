"""A limited number of dials run at a time; the others wait in order."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import pytest
import uvloop

from wsgw_core.pool.backends.breaker import Breaker
from wsgw_core.pool.dialling.dial_limiter import DialLimiter, NotDialled
from wsgw_core.spread_calls import AT_ONCE
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock


class Crowd:
    """Dials of one second each, through a limiter."""

    def __init__(self, limiter: DialLimiter, count: int) -> None:
        self.under_way = 0
        self.most = 0
        self.begun: list[tuple[int, float]] = []
        self._limiter = limiter
        self.tasks = [asyncio.create_task(self._dial(number)) for number in range(count)]

    async def _dial(self, number: int) -> None:
        turn = await self._limiter.enter()
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.begun.append((number, asyncio.get_running_loop().time()))
        try:
            await asyncio.sleep(1)
        finally:
            self.under_way -= 1
            self._limiter.leave(turn)


@on_virtual_clock
async def test_no_more_dials_run_than_there_are_slots() -> None:
    limiter = DialLimiter(Breaker(10), 10, 0.1)
    crowd = Crowd(limiter, 100)
    await idle()
    assert crowd.under_way == 10
    assert limiter.waiting == 90
    await asyncio.gather(*crowd.tasks)
    assert crowd.most == 10
    assert limiter.waiting == 0


@on_virtual_clock
async def test_waiting_dials_begin_in_order_at_random_intervals() -> None:
    crowd = Crowd(DialLimiter(Breaker(10), 1, 0.1), 50)
    await asyncio.gather(*crowd.tasks)
    assert [number for number, _ in crowd.begun] == list(range(50))
    pauses = [
        later - earlier - 1
        for (_, earlier), (_, later) in zip(crowd.begun, crowd.begun[1:], strict=False)
    ]
    assert all(0 <= pause <= 0.2 + 1e-6 for pause in pauses)
    assert len({round(pause, 3) for pause in pauses}) > 10


@on_virtual_clock
async def test_a_dial_with_a_free_slot_does_not_wait() -> None:
    limiter = DialLimiter(Breaker(10), 2, 10)
    for _ in range(20):
        await Crowd(limiter, 1).tasks[0]
    assert asyncio.get_running_loop().time() == pytest.approx(20)


@pytest.mark.parametrize("at", [0.5, 1.0, 1.05, 2.2])
@on_virtual_clock
async def test_a_cancelled_dial_leaves_its_turn_to_the_next(at: float) -> None:
    limiter = DialLimiter(Breaker(10), 1, 0.05)
    crowd = Crowd(limiter, 4)
    await asyncio.sleep(at)
    for task in crowd.tasks[1:3]:
        task.cancel()
    await asyncio.gather(*crowd.tasks, return_exceptions=True)
    assert crowd.begun[-1][0] == 3
    assert limiter.waiting == 0
    await asyncio.sleep(1)
    last = Crowd(limiter, 1)
    await idle()
    assert last.under_way == 1  # no slot was lost
    await last.tasks[0]


@on_virtual_clock
async def test_a_turn_that_comes_with_the_cancellation_is_passed_on() -> None:
    limiter = DialLimiter(Breaker(10), 1, 0.0)
    crowd = Crowd(limiter, 3)
    await asyncio.sleep(1)  # the slot is passed on in this very turn of the loop
    for _ in range(4):
        await asyncio.sleep(0)
        crowd.tasks[1].cancel()
    await asyncio.gather(*crowd.tasks, return_exceptions=True)
    assert [number for number, _ in crowd.begun][-1] == 2


@on_virtual_clock
async def test_waiting_dials_begin_when_slots_are_added() -> None:
    limiter = DialLimiter(Breaker(10), 2, 10)
    crowd = Crowd(limiter, 10)
    await idle()
    limiter.change(7, 0.0)
    await idle()
    assert (crowd.under_way, limiter.waiting) == (7, 3)
    assert asyncio.get_running_loop().time() == 0
    await asyncio.gather(*crowd.tasks)
    assert asyncio.get_running_loop().time() == pytest.approx(2)  # and by the new spacing
    assert crowd.most == 7


@on_virtual_clock
async def test_with_fewer_slots_enough_dials_must_end_first() -> None:
    limiter = DialLimiter(Breaker(10), 5, 0.0)
    crowd = Crowd(limiter, 9)
    await asyncio.sleep(0.5)
    limiter.change(2, 0.0)
    await asyncio.sleep(0.6)
    assert crowd.under_way == 2
    await asyncio.gather(*crowd.tasks)
    assert asyncio.get_running_loop().time() == pytest.approx(3)  # 5, 2, 2
    again = Crowd(limiter, 4)
    await idle()
    assert (again.under_way, limiter.waiting) == (2, 2)
    await asyncio.gather(*again.tasks)


@on_virtual_clock
async def test_a_dial_cancelled_while_the_slots_change_keeps_no_slot() -> None:
    limiter = DialLimiter(Breaker(10), 1, 0.05)
    crowd = Crowd(limiter, 4)
    await asyncio.sleep(0.5)
    crowd.tasks[1].cancel()
    limiter.change(3, 0.05)
    crowd.tasks[2].cancel()  # it has just been let in
    await asyncio.gather(*crowd.tasks, return_exceptions=True)
    assert [number for number, _ in crowd.begun] == [0, 3]
    await asyncio.sleep(1)
    later = Crowd(limiter, 4)
    await idle()
    assert later.under_way == 3
    await asyncio.gather(*later.tasks)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_pauses_below_the_resolution_of_the_loop_are_kept(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def enter() -> list[int]:
        breaker = Breaker(1)
        breaker.failed(0.0, unreachable=True)
        limiter = DialLimiter(breaker, 100, 0.0002)  # for uvloop such a timer is none
        async with asyncio.timeout(60):
            return await asyncio.gather(*(limiter.enter() for _ in range(50)))

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert len(set(runner.run(enter()))) == 50


class TestSilence:
    """Dials that take much longer than others."""

    @on_virtual_clock
    async def test_dials_overtaken_by_a_later_answer_lose_their_slots(self) -> None:
        limiter = DialLimiter(Breaker(10), 3, 0.0, slow_after=2)
        silent = [await limiter.enter() for _ in range(2)]
        await asyncio.sleep(2.1)
        quick = await limiter.enter()
        behind = Crowd(limiter, 3)
        await idle()
        assert behind.under_way == 0
        limiter.leave(quick, answered=True)
        await asyncio.sleep(0.1)
        assert behind.under_way == 3
        for turn in silent:
            limiter.leave(turn)  # which gives back nothing
        await asyncio.gather(*behind.tasks)
        again = Crowd(limiter, 4)
        await idle()
        assert (again.under_way, limiter.waiting) == (3, 1)
        await asyncio.gather(*again.tasks)

    @pytest.mark.parametrize(
        ("seconds", "answered", "slow_after"), [(0.05, True, 2), (9, False, 2), (9, True, math.inf)]
    )
    @on_virtual_clock
    async def test_dials_keep_their_slots_without_a_later_answer(
        self, seconds: float, answered: bool, slow_after: float
    ) -> None:
        limiter = DialLimiter(Breaker(10), 3, 0.0, slow_after)
        silent = [await limiter.enter() for _ in range(2)]
        await asyncio.sleep(seconds)
        limiter.leave(await limiter.enter(), answered=answered)
        behind = Crowd(limiter, 2)
        await idle()
        assert (behind.under_way, limiter.waiting) == (1, 1)
        for turn in silent:
            limiter.leave(turn)
        await asyncio.gather(*behind.tasks)

    @on_virtual_clock
    async def test_slow_dials_keep_their_slots_if_all_answers_are_slow(self) -> None:
        limiter = DialLimiter(Breaker(10), 2, 0.0, slow_after=2)
        for _ in range(40):
            turn = await limiter.enter()
            await asyncio.sleep(3)
            limiter.leave(turn, answered=True)
        waiting = await limiter.enter()
        await asyncio.sleep(9)
        limiter.leave(await limiter.enter(), answered=False)
        turn = await limiter.enter()
        await asyncio.sleep(3)
        limiter.leave(turn, answered=True)  # which has overtaken another one, as happens
        behind = Crowd(limiter, 2)
        await idle()
        assert (behind.under_way, limiter.waiting) == (1, 1)
        limiter.leave(waiting)
        await asyncio.gather(*behind.tasks)

    @on_virtual_clock
    async def test_dials_that_began_later_keep_their_slots(self) -> None:
        limiter = DialLimiter(Breaker(10), 2, 0.0, slow_after=2)
        quick, silent = [await limiter.enter() for _ in range(2)]
        await asyncio.sleep(3)
        limiter.leave(quick, answered=True)
        behind = Crowd(limiter, 2)
        await idle()
        assert (behind.under_way, limiter.waiting) == (1, 1)
        limiter.leave(silent)
        await asyncio.gather(*behind.tasks)

    @on_virtual_clock
    async def test_a_full_limiter_starts_the_newest_dial_after_each_silence(self) -> None:
        limiter = DialLimiter(Breaker(10), 5, 0.0, slow_after=2)
        silent = [await limiter.enter() for _ in range(5)]
        crowd = Crowd(limiter, 5)
        await asyncio.sleep(4.5)
        assert [number for number, _ in crowd.begun] == [4, 3]
        assert [at for _, at in crowd.begun] == pytest.approx([2, 4])
        for turn in silent:
            limiter.leave(turn)
        await asyncio.gather(*crowd.tasks)
        assert [number for number, _ in crowd.begun] == [4, 3, 0, 1, 2]
        assert not limiter.is_full

    @pytest.mark.parametrize("before", [math.inf, 8, 1])
    @on_virtual_clock
    async def test_changed_silence_counts_before_the_first_answer(self, before: float) -> None:
        limiter = DialLimiter(Breaker(10), 1, 0.0, before)
        silent = await limiter.enter()
        limiter.change(1, 0.0, 4)
        crowd = Crowd(limiter, 1)
        await asyncio.sleep(3.9)
        assert crowd.under_way == 0
        await asyncio.sleep(0.2)
        assert crowd.under_way == 1
        limiter.leave(silent)
        await asyncio.gather(*crowd.tasks)

    @on_virtual_clock
    async def test_a_quick_answer_brings_the_next_dial_of_a_full_limiter_forward(self) -> None:
        limiter = DialLimiter(Breaker(10), 2, 0.0, slow_after=8)
        quick, silent = [await limiter.enter() for _ in range(2)]
        crowd = [asyncio.create_task(limiter.enter()) for _ in range(3)]
        await asyncio.sleep(0.5)
        limiter.leave(quick, answered=True)  # so 4 seconds are much longer
        await asyncio.sleep(3.9)
        assert [dial.done() for dial in crowd] == [True, False, False]
        await asyncio.sleep(0.2)
        assert [dial.done() for dial in crowd] == [True, False, True]
        for turn in (silent, crowd[0].result(), crowd[2].result()):
            limiter.leave(turn)
        await crowd[1]

    @on_virtual_clock
    async def test_a_tenth_of_a_second_is_never_much_longer(self) -> None:
        limiter = DialLimiter(Breaker(10), 1, 0.0, slow_after=2)
        quick = await limiter.enter()
        await asyncio.sleep(0.001)
        limiter.leave(quick, answered=True)
        silent = await limiter.enter()
        crowd = Crowd(limiter, 1)
        await asyncio.sleep(0.09)
        assert crowd.under_way == 0
        await asyncio.sleep(0.02)
        assert crowd.under_way == 1
        limiter.leave(silent)
        await asyncio.gather(*crowd.tasks)


@on_virtual_clock
async def test_waiting_dials_are_turned_away_a_few_in_each_turn_of_the_loop() -> None:
    limiter = DialLimiter(Breaker(10), 1, 0)
    await limiter.enter()
    dials = [asyncio.create_task(limiter.enter()) for _ in range(5 * AT_ONCE)]
    await idle()
    limiter.turn_away("refused")
    assert limiter.waiting == 0
    dials[-1].cancel()
    failed = [0]
    while failed[-1] < len(dials):
        await asyncio.sleep(0)  # one turn of the loop
        failed.append(sum(dial.done() for dial in dials))
        assert failed[-1] - failed[-2] <= AT_ONCE + 1  # one was cancelled
    assert all(isinstance(dial.exception(), NotDialled) for dial in dials[:-1])
