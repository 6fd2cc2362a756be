"""The event loop as aiormq gets it: it knows which tasks the library has left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_LONGEST = 5.0  # seconds; the connection is cut by then, and its tasks see that at once


class LibraryLoop:
    """Passes everything on to the running loop, and remembers the tasks that are not over.

    aiormq's `close` returns while a task of its own still closes the connection. Whoever ends the
    event loop then would have it destroyed, with an error in the log.
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
        """Waits, a few seconds at most, until no task is left, nor one that the others begin."""
        deadline = self._loop.time() + _LONGEST
        while self._tasks and (left := deadline - self._loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
