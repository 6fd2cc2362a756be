"""Runs coroutines in a separate event loop in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_TIMEOUT = 0.5  # seconds for tasks that end by themselves


class OwnLoop:
    """A second event loop, for a test whose own loop may only have the plugin's tasks."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the loop and returns its result."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def close(self) -> None:
        """Ends the thread and all tasks in it.

        A client library that is interrupted while it connects leaves tasks behind, which close the
        connection and end by themselves.
        """
        asyncio.run_coroutine_threadsafe(self._end_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @staticmethod
    async def _end_tasks() -> None:
        own = asyncio.current_task()
        while left := asyncio.all_tasks() - {own}:  # a cancelled task of the library starts others
            _, late = await asyncio.wait(left, timeout=_TIMEOUT)
            for task in late:
                task.cancel()
