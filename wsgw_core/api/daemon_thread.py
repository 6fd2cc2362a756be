"""Runs blocking calls off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def run_in_thread(call: Callable[[], T]) -> T:
    """Returns the result of a call that may block, for example one that reads files.

    The call runs in a thread of its own, a daemon: a call that hangs delays neither other calls nor
    the process's exit. Cancellation does not stop it; its result is discarded.

    Raises:
        RuntimeError: the system has no thread left.
    """
    future: Future[T] = Future()

    def run() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - raised where the future is awaited
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name="wsgw-thread", daemon=True).start()
    return await asyncio.wrap_future(future)
