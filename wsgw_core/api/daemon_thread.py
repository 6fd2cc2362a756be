"""Runs blocking calls off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _DaemonThread(Executor):
    """Runs each call in a thread of its own, which ends with the call.

    The threads are daemons: a call that hangs delays neither other calls nor the process's exit.
    """

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Starts the call."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = call(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - raised where the future is awaited
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name="wsgw-thread", daemon=True).start()
        return future


_THREAD = _DaemonThread()


async def run_in_thread(call: Callable[[], T]) -> T:
    """Returns the result of a call that may block, for example one that reads files.

    The call runs in a thread of its own. Cancellation does not stop it; its result is discarded.

    Raises:
        RuntimeError: the system has no thread left.
    """
    return await asyncio.get_running_loop().run_in_executor(_THREAD, call)
