"""An event loop with a virtual clock: hours pass at once, and always in the same order."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

__all__ = [
    "DeadlockError",
    "SpinError",
    "VirtualClockLoop",
    "idle",
    "on_virtual_clock",
    "run_virtual",
]

_MOST_TURNS = 100_000  # of the loop at one instant; a second or two of processor time
_STANDSTILL = 1e-3  # seconds; a task that repeats shorter sleeps still spins

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class DeadlockError(RuntimeError):
    """Nothing is ready and no timer is set, so the test would wait for ever."""


class SpinError(DeadlockError):
    """Something is always ready, so no time passes and the test would run for ever."""


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """Runs what is ready, then jumps to the next timer; `time()` starts at 0.

    It serves tests whose ends are all in memory. It refuses sockets and threads, because they
    depend on real time. A loop that would wait for ever raises DeadlockError, which lists the
    waiting tasks. A loop that would never reach its next timer raises SpinError, which also lists
    what is ready.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._instant = 0.0
        self._turns = 0
        self._idle_waiters: list[asyncio.Future[None]] = []
        super().__init__(_JumpingSelector(self))
        # Timers that differ by a rounding error belong to the same instant. The resolution must
        # also stay above the spacing of floats, or a timer far in the future is never due.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Returns the virtual time in seconds."""
        return self._now

    async def idle(self) -> None:
        """Waits until everything that can happen at this instant has happened; no time passes.

        So a test can then assert that something did *not* happen.
        """
        waiter = self.create_future()
        self._idle_waiters.append(waiter)
        await waiter

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Raises RuntimeError, because a thread does not follow the virtual clock."""
        raise RuntimeError("no threads on a virtual clock")

    def count_turn(self) -> None:
        """Counts a turn of the loop at this instant; called by the loop's selector.

        Raises:
            SpinError: there are too many.
        """
        if self._now - self._instant > _STANDSTILL:
            self._instant = self._now
            self._turns = 0
        self._turns += 1
        if self._turns > _MOST_TURNS:
            self._turns = 0  # the clean-up may take as many turns
            raise SpinError(self._describe_spin())

    def wait(self, seconds: float | None) -> None:
        """Moves the clock to the next timer; called by the loop's selector."""
        if self._idle_waiters:
            waiters, self._idle_waiters = self._idle_waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        elif seconds is None:
            raise DeadlockError(self._describe_deadlock())
        else:
            self._now += seconds

    def _describe_deadlock(self) -> str:
        tasks = self._describe_tasks()
        return "\n".join(["nothing is ready and no timer is set; these wait for ever:", *tasks])

    def _describe_spin(self) -> str:
        # The loop's own list, which has no public name: a callback that calls itself is no task.
        ready = [f"  {handle!r}" for handle in getattr(self, "_ready", ())]
        headline = (
            f"{_MOST_TURNS} turns of the loop at {self._now:.6f} s, and these are still ready:"
        )
        return "\n".join([headline, *ready, "among these tasks:", *self._describe_tasks()])

    def _describe_tasks(self) -> list[str]:
        lines = []
        for task in sorted(asyncio.all_tasks(self), key=lambda task: task.get_name()):
            where = "not started"
            frames = task.get_stack()
            if frames:
                code = frames[-1].f_code
                where = f"{code.co_qualname} ({code.co_filename}:{frames[-1].f_lineno})"
            lines.append(f"  {task.get_name()}: {where}")
        return lines


class _JumpingSelector(selectors.SelectSelector):
    """A selector that moves the loop's clock instead of waiting."""

    def __init__(self, loop: VirtualClockLoop) -> None:
        super().__init__()
        self._loop = loop

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Registers the loop's own wake-up pipe, which comes first; refuses anything else."""
        if self.get_map():
            raise RuntimeError("no sockets on a virtual clock")
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Returns what is ready now; if nothing is, moves the clock by `timeout`."""
        self._loop.count_turn()
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            self._loop.wait(timeout)
        return ready


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end on a new VirtualClockLoop and returns its result.

    Raises:
        DeadlockError: the coroutine waits for something that cannot happen.
    """
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(main)


def on_virtual_clock(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Returns a plain function that runs an `async def` test on a new VirtualClockLoop.

    It needs no plugin of pytest; fixtures work as usual.
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtual(test(*args, **kwargs))

    return run


async def idle() -> None:
    """Awaits `VirtualClockLoop.idle()` of the running loop."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualClockLoop):
        raise RuntimeError("idle() needs a VirtualClockLoop")
    await loop.idle()
