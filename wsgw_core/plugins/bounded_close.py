"""Closes objects of plugins within a time limit, whatever they do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

_GRACE = 1.0  # seconds for a cancelled close to clean up


async def close_within(seconds: float, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Calls a close function; cancels it after a time, and soon stops waiting for it.

    Raises:
        TimeoutError: the close took too long.
        RuntimeError: the close cancelled itself, or tried to exit the process.
        Exception: any other error that the close raises.
    """
    task = asyncio.get_running_loop().create_task(_without_exit(close))
    try:
        done, _ = await asyncio.wait([task], timeout=seconds)
        if not done:
            task.cancel()
            await asyncio.wait([task], timeout=_GRACE)
            task.add_done_callback(_look_at)
            raise TimeoutError(f"took longer than {seconds:g} s")
    except asyncio.CancelledError:
        task.cancel()
        raise
    if task.cancelled():
        raise RuntimeError("cancelled itself")
    task.result()


async def _without_exit(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await close()
    except SystemExit as error:  # would end the event loop before the other closes
        raise RuntimeError(f"tried to exit the process with {error.code!r}") from error


def _look_at(task: asyncio.Task[None]) -> None:
    """Retrieves the exception of a task, which asyncio would otherwise log."""
    if not task.cancelled():
        task.exception()
