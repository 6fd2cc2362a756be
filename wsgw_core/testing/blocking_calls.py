"""Notices calls that make the event loop wait for something else than its own work."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, SupportsIndex

_watchers: dict[int, Callable[[str], None]] = {}
_hook_is_there = False
_sleep = time.sleep
_ALWAYS_BLOCK = ("socket.getaddrinfo", "socket.gethostbyname", "http.client.connect", "os.system")
_OF_THE_LIBRARY = {"socket", "http.client", "urllib.request", __name__}


@contextmanager
def watching_for_blocking_calls(report: Callable[[str], None]) -> Iterator[None]:
    """Report what blocks this thread until the end of the block: the call, and where it stands.

    Found are `time.sleep`, the resolving of names, connecting with a socket that blocks, HTTP
    requests of the standard library and `os.system`; not what waits inside of C code in another
    way. `time.sleep` is found only if it is looked up in its module.

    Args:
        report: called for each, from inside the call.
    """
    global _hook_is_there  # noqa: PLW0603 - a hook cannot be taken away again
    if not _hook_is_there:
        _hook_is_there = True
        sys.addaudithook(_on_event)
    thread = threading.get_ident()
    _watchers[thread] = report
    time.sleep = _reporting_sleep
    try:
        yield
    finally:
        del _watchers[thread]
        if not _watchers:
            time.sleep = _sleep


def _reporting_sleep(seconds: float | SupportsIndex, /) -> None:
    _report(f"time.sleep({seconds})")
    _sleep(seconds)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watchers:
        return
    if event in _ALWAYS_BLOCK:
        _report(event)
    elif event == "socket.connect" and arguments[0].gettimeout() != 0:
        _report("socket.connect with a socket that blocks")


def _report(call: str) -> None:
    watcher = _watchers.get(threading.get_ident())
    if watcher is None:
        return
    frame = sys._getframe(1)  # noqa: SLF001 - cheaper than a whole traceback
    while frame.f_back is not None and frame.f_globals.get("__name__") in _OF_THE_LIBRARY:
        frame = frame.f_back
    watcher(f"{call} in {frame.f_code.co_filename}:{frame.f_lineno}")
