"""Callbacks that take turns, and long reads that wait for them."""

from __future__ import annotations

import asyncio
import time

import pytest

from wsgw_core.api import Turns


class Queue:
    """Turns whose callbacks record their number."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.taken: list[int] = []

    def add(self, number: int, seconds: float = 0.0, again: int = 0) -> None:
        """Queues a turn.

        Args:
            number: its own.
            seconds: that it takes.
            again: how often it asks for another one.
        """

        def turn() -> None:
            self.taken.append(number)
            if seconds:
                time.sleep(seconds)
            if again:
                self.add(number, seconds, again - 1)

        self.turns.call_in_turn(asyncio.get_running_loop(), turn)

    async def is_empty(self) -> None:
        """Waits until all turns were taken, including those that their callbacks add."""
        for _ in range(2):
            done = asyncio.Event()
            self.turns.call_in_turn(asyncio.get_running_loop(), done.set)
            await asyncio.wait_for(done.wait(), 30)


async def test_a_callback_added_again_waits_behind_all_others() -> None:
    queue = Queue()
    for number in range(3):
        queue.add(number, again=1)
    assert queue.taken == []
    await queue.is_empty()
    assert queue.taken == [0, 1, 2, 0, 1, 2]


async def test_long_turns_leave_time_for_other_reads() -> None:
    queue = Queue()
    for number in range(3):
        queue.add(number, seconds=0.002, again=1)
    for count in range(1, 7):
        await asyncio.sleep(0)
        assert queue.taken == [0, 1, 2, 0, 1, 2][:count]


async def test_one_callback_a_turn_is_called_while_they_begin_long_tasks() -> None:
    turns, loop = Turns(), asyncio.get_running_loop()
    begun = 0

    async def slow() -> None:
        nonlocal begun
        begun += 1
        time.sleep(0.006)  # noqa: ASYNC251 - takes the time of the loop

    def turn() -> None:
        time.sleep(0.0002)
        tasks.append(loop.create_task(slow()))

    tasks: list[asyncio.Task[None]] = []
    for _ in range(30):
        turns.call_in_turn(loop, turn)
    in_turns = []
    while begun < 30:
        before = begun
        await asyncio.sleep(0)
        in_turns.append(begun - before)
    first, *others = filter(None, in_turns)
    assert others == [1] * (30 - first), "the first turn cannot know"
    await asyncio.gather(*tasks)


async def test_a_callback_that_fails_does_not_stop_the_others() -> None:
    queue, loop = Queue(), asyncio.get_running_loop()
    faults: list[object] = []
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))

    def fail() -> None:
        raise ValueError

    queue.turns.call_in_turn(loop, fail)
    queue.add(1)
    await queue.is_empty()
    queue.add(2)
    await queue.is_empty()
    assert queue.taken == [1, 2]
    assert [type(fault) for fault in faults] == [ValueError]


@pytest.mark.parametrize("count", [1, 1000])
async def test_all_callbacks_get_their_turn(count: int) -> None:
    queue = Queue()
    for number in range(count):
        queue.add(number)
    await queue.is_empty()
    assert queue.taken == list(range(count))


class TestLongReads:
    async def test_a_few_long_reads_in_one_turn_may_read_on(self) -> None:
        turns, loop = Turns(), asyncio.get_running_loop()
        allowed = [turns.may_read_on(loop) for _ in range(100)]
        few = sum(allowed)
        assert 1 < few < 50
        assert allowed == [True] * few + [False] * (100 - few)
        await asyncio.sleep(0)
        assert turns.may_read_on(loop)

    async def test_no_connection_reads_on_while_others_wait(self) -> None:
        turns, loop = Turns(), asyncio.get_running_loop()
        turns.call_in_turn(loop, lambda: False)
        assert not turns.may_read_on(loop)
        await asyncio.sleep(0)
        assert turns.may_read_on(loop)

    async def test_at_most_a_few_turns_that_read_on_share_one_loop_turn(self) -> None:
        turns, loop = Turns(), asyncio.get_running_loop()
        taken = 0

        def turn() -> bool:
            nonlocal taken
            taken += 1
            return True

        for _ in range(100):
            turns.call_in_turn(loop, turn)
        await asyncio.sleep(0)
        while taken < 100:
            before = taken
            await asyncio.sleep(0)
            assert 0 < taken - before < 50


class TestBeginning:
    async def test_a_few_connections_begin_at_once_even_if_others_wait(self) -> None:
        turns, loop = Turns(), asyncio.get_running_loop()
        turns.call_in_turn(loop, lambda: False)
        allowed = [turns.may_begin(loop) for _ in range(100)]
        few = sum(allowed)
        assert 1 < few < 50
        assert allowed == [True] * few + [False] * (100 - few)

    async def test_a_beginning_connection_gets_its_turn_first(self) -> None:
        turns, loop = Turns(), asyncio.get_running_loop()
        taken: list[str] = []
        turns.call_in_turn(loop, lambda: taken.append("old"))
        turns.call_in_turn(loop, lambda: taken.append("new"), first=True)
        await asyncio.sleep(0)
        assert taken == ["new", "old"]
