"""Runs coroutines in an event loop of their own, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_PATIENCE = 0.5  # seconds for what ends by itself


class OwnLoop:
    """An event loop beside that of the test, which must have no tasks but the plugin's."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine there and returns what it returns."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def close(self) -> None:
        """Ends the thread, and what still runs there.

        A client library that is interrupted while it connects leaves tasks behind, which close the
        connection; they end by themselves.
        """
        asyncio.run_coroutine_threadsafe(self._end_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @staticmethod
    async def _end_tasks() -> None:
        own = asyncio.current_task()
        while left := asyncio.all_tasks() - {own}:  # when cancelled, the library begins others
            _, late = await asyncio.wait(left, timeout=_PATIENCE)
            for task in late:
                task.cancel()
