"""Awaits code of plugins within a time limit, whatever it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

_GRACE = 1.0  # seconds for a cancelled close to clean up

T = TypeVar("T")


async def result_within(
    seconds: float, call: Callable[[], Awaitable[T]], *, grace: float = 0.0
) -> T:
    """Calls a function and returns its result; cancels it after a time, or with the caller.

    It runs in its own task, so that the caller goes on even if it ignores its cancellation.

    Args:
        seconds: the time.
        call: the function.
        grace: maximum seconds to wait for the end of a call that was cancelled after its time.

    Raises:
        TimeoutError: it took too long.
        RuntimeError: it cancelled itself, tried to exit the process, or raised GeneratorExit.
        Exception: any other error that it raises.
    """
    task = asyncio.get_running_loop().create_task(_without_exit(call))
    task.add_done_callback(_look_at)
    try:
        done, _ = await asyncio.wait([task], timeout=seconds)
        if not done:
            task.cancel()
            if grace:
                await asyncio.wait([task], timeout=grace)
            raise TimeoutError(f"took longer than {seconds:g} s")
    except asyncio.CancelledError:
        task.cancel()
        raise
    if task.cancelled():
        raise RuntimeError("cancelled itself")
    if isinstance(error := task.exception(), GeneratorExit):
        raise RuntimeError("raised GeneratorExit") from error
    return task.result()


async def close_within(seconds: float, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Calls a close function; see `result_within`."""
    await result_within(seconds, close, grace=_GRACE)


async def _without_exit(call: Callable[[], Awaitable[T]]) -> T:
    try:
        return await call()
    except SystemExit as error:  # would end the event loop
        raise RuntimeError(f"tried to exit the process with {error.code!r}") from error


def _look_at(task: asyncio.Task[Any]) -> None:
    """Retrieves the exception of a task, which asyncio would otherwise log."""
    if not task.cancelled():
        task.exception()
