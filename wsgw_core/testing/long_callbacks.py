"""Finds callbacks of an event loop that compute for so long that all sessions wait."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

MOST_SECONDS = 0.25


@contextmanager
def watching_for_long_callbacks(report: Callable[[str], None]) -> Iterator[None]:
    """Reports each callback in this thread that takes more than MOST_SECONDS of processor time.

    Time of the garbage collector and of other processes does not count. It finds only callbacks of
    asyncio's own loops.

    Args:
        report: called after each such callback, with a text about the callback and its time.
    """
    thread, run = threading.get_ident(), asyncio.Handle._run  # noqa: SLF001 - no public way
    collecting = _Collecting()

    def timed(handle: asyncio.Handle) -> None:
        if threading.get_ident() != thread:
            run(handle)
            return
        callback = getattr(handle, "_callback", None)  # gone afterwards
        before = time.thread_time() - collecting.seconds
        run(handle)
        seconds = time.thread_time() - collecting.seconds - before
        if seconds > MOST_SECONDS:
            report(f"{_describe(callback)}, which computed for {seconds:.2f} s without a pause")

    gc.callbacks.append(collecting)
    try:
        with mock.patch.object(asyncio.Handle, "_run", timed):
            yield
    finally:
        gc.callbacks.remove(collecting)


class _Collecting:
    """The processor time that the garbage collector has taken in this thread."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._thread = threading.get_ident()

    def __call__(self, phase: str, _info: dict[str, Any]) -> None:
        if threading.get_ident() != self._thread:
            return
        now = time.thread_time()
        self.seconds += -now if phase == "start" else now


def _describe(callback: object) -> str:
    owner = getattr(callback, "__self__", None)
    if not isinstance(owner, asyncio.Task):
        return repr(callback)
    coroutine: Any = owner.get_coro()
    text = str(coroutine.__qualname__)
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        if not frame.f_globals["__name__"].startswith("asyncio."):
            text = f"{coroutine.__qualname__} in {frame.f_code.co_filename}:{frame.f_lineno}"
        coroutine = coroutine.cr_await
    return text
