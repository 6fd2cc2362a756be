"""Runs the coroutines of asynchronous valves: at once until they wait, then in a task."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import types
from asyncio.tasks import _enter_task, _leave_task  # see "Extending" in asyncio's documentation
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any


class Begun:
    """A coroutine that has run until it had to wait.

    Args:
        coroutine: the coroutine.
        waited: what it has yielded.
    """

    __slots__ = ("_coroutine", "_waited")

    def __init__(self, coroutine: Coroutine[Any, Any, object], waited: object) -> None:
        self._coroutine = coroutine
        self._waited = waited

    @types.coroutine
    def rest(self) -> Generator[object, Any, object]:
        """Runs the coroutine to its end, and returns its result."""
        waited, coroutine = self._waited, self._coroutine
        try:
            while True:
                try:
                    sent = yield waited
                except BaseException as error:  # noqa: BLE001 - is for the coroutine
                    waited = coroutine.throw(error)
                else:
                    waited = coroutine.send(sent)
        except StopIteration as stop:
            return stop.value


def begin(answer: object) -> object:
    """Runs an awaitable that a valve has returned until it waits.

    Returns:
        Its result, or a Begun if it waits.

    Raises:
        TypeError: it is no awaitable.
        Exception: what the awaitable raises.
    """
    coroutine = _as_coroutine(answer)
    try:
        return Begun(coroutine, coroutine.send(None))
    except StopIteration as stop:
        return stop.value


class ValveWorker:
    """The task of one chain of valves; make it on the event loop.

    A coroutine that never waits costs no turn of the loop, because `begin` runs it at once. It runs
    there as if in the task, with its context, so that timeouts and context variables work.
    """

    __slots__ = ("_context", "_job", "_loop", "_stopped", "_task", "_wake")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._job: Callable[[], Awaitable[None]] | None = None
        self._wake = self._loop.create_future()
        self._stopped = False
        self._task = self._loop.create_task(self._run(), context=self._context)

    @property
    def is_over(self) -> bool:
        """Whether the task has ended: it was stopped, or a valve has cancelled it."""
        return self._task.done()

    def begin(self, answer: object) -> object:
        """Calls the function `begin`, as if in the task; only while the worker has no job."""
        loop = self._loop
        outer = asyncio.current_task(loop)
        if outer is not None:
            _leave_task(loop, outer)
        _enter_task(loop, self._task)
        try:
            return self._context.run(begin, answer)
        finally:
            _leave_task(loop, self._task)
            if outer is not None:
                _enter_task(loop, outer)

    def take(self, job: Callable[[], Awaitable[None]]) -> None:
        """Runs a job in the task; only while the worker has no job."""
        self._job = job
        self._wake.set_result(None)

    def stop(self) -> None:
        """Ends the task: at once, or after the job if the job itself calls this."""
        self._stopped = True
        if self._job is None:
            if not self._wake.done():
                self._wake.set_result(None)
        elif asyncio.current_task(self._loop) is not self._task:
            self._task.cancel()

    async def _run(self) -> None:
        while not self._stopped:
            await self._wake
            if self._job is None:
                return
            self._wake = self._loop.create_future()
            try:
                await self._job()
            finally:
                self._job = None


def _as_coroutine(answer: object) -> Coroutine[Any, Any, object]:
    if isinstance(answer, types.CoroutineType):
        return answer
    if not inspect.isawaitable(answer):
        raise TypeError(f"a valve returned {type(answer).__name__}, not a Message or None")
    return _awaited(answer)


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable
