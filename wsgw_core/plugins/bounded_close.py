"""Ends what belongs to plugins within a time, whatever they do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

_GRACE = 1.0  # seconds in which what is cancelled may clean up


async def close_within(seconds: float, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Closes something; after that time cancel it, and soon leave it behind.

    Raises:
        TimeoutError: it took too long.
        RuntimeError: it has cancelled itself, or wanted the process to exit.
        Exception: whatever else it raises.
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
    except SystemExit as error:  # which would end the event loop, and with it all that still closes
        raise RuntimeError(f"tried to exit the process with {error.code!r}") from error


def _look_at(task: asyncio.Task[None]) -> None:
    """Takes note of how a task has ended, which asyncio would complain about otherwise."""
    if not task.cancelled():
        task.exception()
