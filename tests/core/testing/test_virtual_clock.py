from __future__ import annotations

import asyncio
import inspect
import socket
import time
from contextlib import suppress

import pytest

from wsgw_core.testing import virtual_clock
from wsgw_core.testing.virtual_clock import (
    DeadlockError,
    SpinError,
    VirtualClockLoop,
    idle,
    on_virtual_clock,
    run_virtual,
)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_hours_pass_at_once() -> None:
    async def wait() -> float:
        await asyncio.sleep(36_000)
        return now()

    began = time.monotonic()
    assert run_virtual(wait()) == pytest.approx(36_000)
    assert time.monotonic() - began < 60


def test_time_starts_at_zero_and_stands_still_while_something_is_ready() -> None:
    async def turn() -> float:
        for _ in range(1000):
            await asyncio.sleep(0)
        return now()

    assert run_virtual(turn()) == 0.0


def test_timers_fire_in_order_and_on_time() -> None:
    async def watch() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []
        loop = asyncio.get_running_loop()

        def fire(name: str) -> None:
            seen.append((name, loop.time()))

        for name, delay in (("c", 3.0), ("a", 1.0), ("b", 1.5)):
            loop.call_later(delay, fire, name)
        await asyncio.sleep(5)
        return seen

    assert run_virtual(watch()) == [("a", 1.0), ("b", 1.5), ("c", 3.0)]


def test_timeouts_follow_the_virtual_time() -> None:
    async def wait() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return now()

    assert run_virtual(wait()) == pytest.approx(30)


def test_timers_that_differ_by_a_rounding_error_share_one_instant() -> None:
    async def watch() -> list[float]:
        seen: list[float] = []
        loop = asyncio.get_running_loop()
        for when in (0.1 + 0.2, 0.3):
            loop.call_at(when, lambda: seen.append(loop.time()))
        await asyncio.sleep(1)
        return seen

    first, second = run_virtual(watch())
    assert first == second


def test_a_timer_in_the_distant_future_fires() -> None:
    async def wait() -> float:
        for _ in range(3):
            await asyncio.sleep(1e8 + 0.1)
        return now()

    assert run_virtual(wait()) == pytest.approx(3e8 + 0.3)


def test_a_deadlock_raises_an_error_with_the_waiting_tasks() -> None:
    async def wait_for_godot() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        await asyncio.create_task(wait_for_godot(), name="vladimir")

    with pytest.raises(DeadlockError, match=r"vladimir: .*wait_for_godot .*test_virtual_clock"):
        run_virtual(main())


def test_a_loop_can_be_used_after_a_deadlock() -> None:
    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        with pytest.raises(DeadlockError):
            runner.run(wait_for_ever())
        runner.run(asyncio.sleep(1))


@pytest.fixture
def few_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_clock, "_MOST_TURNS", 1000)


async def spin(pause: float) -> None:
    while True:  # noqa: ASYNC110 - it waits for nothing
        await asyncio.sleep(pause)


async def sleep_beside(pause: float) -> None:
    await asyncio.create_task(spin(pause), name="hamster")


def test_a_task_that_spins_raises_an_error_with_its_name() -> None:
    with pytest.raises(SpinError, match=r"hamster: .*spin .*test_virtual_clock"):
        run_virtual(sleep_beside(0))


@pytest.mark.usefixtures("few_turns")
def test_a_task_with_tiny_sleeps_counts_as_spinning() -> None:
    with pytest.raises(SpinError, match=r"hamster: .*spin .*test_virtual_clock"):
        run_virtual(sleep_beside(1e-7))


@pytest.mark.usefixtures("few_turns")
def test_a_callback_that_spins_is_named() -> None:
    def turn_the_wheel() -> None:
        asyncio.get_running_loop().call_soon(turn_the_wheel)

    async def main() -> None:
        turn_the_wheel()
        await asyncio.sleep(1)

    with pytest.raises(SpinError, match="turn_the_wheel"):
        run_virtual(main())


@pytest.mark.usefixtures("few_turns")
def test_a_task_that_repeats_idle_counts_as_spinning() -> None:
    async def main() -> None:
        while True:
            await idle()

    with pytest.raises(SpinError, match=r"test_virtual_clock"):
        run_virtual(main())


@pytest.mark.usefixtures("few_turns")
def test_a_spin_that_ignores_cancellation_is_reported() -> None:
    async def stubborn() -> None:
        # Nobody can end its task, which the loop would tell when the collector finds it.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)

    with pytest.raises(SpinError, match="stubborn"):
        run_virtual(stubborn())


@pytest.mark.usefixtures("few_turns")
def test_many_turns_are_no_spin_while_time_passes() -> None:
    async def work() -> float:
        for _ in range(6):
            for _ in range(300):
                await asyncio.sleep(0)
            await asyncio.sleep(0.01)
        return now()

    assert run_virtual(work()) == pytest.approx(0.06)


@on_virtual_clock
async def test_idle_returns_when_nothing_more_happens_at_this_instant() -> None:
    seen: list[str] = []

    async def work() -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        seen.append("done")
        await asyncio.sleep(0.001)
        seen.append("later")

    task = asyncio.create_task(work())
    await idle()
    assert seen == ["done"]
    assert now() == 0.0
    await task


@on_virtual_clock
async def test_idle_does_not_need_a_timer() -> None:
    await asyncio.gather(idle(), idle())


@on_virtual_clock
async def test_a_cancelled_idle_is_harmless() -> None:
    task = asyncio.create_task(idle())
    await asyncio.sleep(0)
    task.cancel()
    await idle()
    assert task.cancelled()


def test_idle_needs_the_virtual_clock() -> None:
    with pytest.raises(RuntimeError, match="VirtualClockLoop"):
        asyncio.run(idle())


@on_virtual_clock
async def test_sockets_are_refused() -> None:
    one, other = socket.socketpair()
    with one, other, pytest.raises(RuntimeError, match="no sockets"):
        asyncio.get_running_loop().add_reader(one, print)


@on_virtual_clock
async def test_threads_are_refused() -> None:
    with pytest.raises(RuntimeError, match="no threads"):
        await asyncio.to_thread(time.monotonic)


@pytest.fixture
def answer() -> int:
    return 42


@on_virtual_clock
async def test_a_decorated_test_gets_its_fixtures(answer: int) -> None:
    assert answer == 42
    assert isinstance(asyncio.get_running_loop(), VirtualClockLoop)


def test_a_decorated_test_is_not_a_coroutine_function() -> None:
    assert not inspect.iscoroutinefunction(test_a_decorated_test_gets_its_fixtures)
