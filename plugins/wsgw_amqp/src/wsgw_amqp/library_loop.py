"""The event loop for aiormq, which tracks the library's tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_LONGEST = 5.0  # seconds; the connection is closed, so its tasks end at once


class LibraryLoop:
    """Forwards to the running loop, and remembers the tasks that have not ended.

    aiormq's `close` returns while one of its tasks still closes the connection. If the event loop
    ended then, it would destroy that task and log an error.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def create_task(self, work: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
        """See asyncio.AbstractEventLoop."""
        task = self._loop.create_task(work, **options)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def tasks_ended(self) -> None:
        """Waits a few seconds at most until all tasks have ended, including new ones."""
        deadline = self._loop.time() + _LONGEST
        while self._tasks and (left := deadline - self._loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
