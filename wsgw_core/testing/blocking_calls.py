"""Finds calls that block the event loop."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from .long_callbacks import watching_for_long_callbacks

_watchers: dict[int, Callable[[str], None]] = {}
_hook_is_there = False
_patches = ExitStack()
_ALWAYS_BLOCK = ("socket.getaddrinfo", "socket.gethostbyname", "http.client.connect", "os.system")
_OF_THE_LIBRARY = {
    "socket",
    "http.client",
    "urllib.request",
    "threading",
    "queue",
    "subprocess",
    "concurrent.futures._base",
    __name__,
}


@contextmanager
def watching_for_blocking_calls(report: Callable[[str], None]) -> Iterator[None]:
    """Reports each blocking call of this thread within the `with` block, with its place.

    It finds `time.sleep`, waits for another thread (`Event.wait`, `Queue.get`, `Future.result`) or
    for a process, lookups of names, connects with a blocking socket, HTTP requests of the standard
    library and `os.system`; and callbacks of asyncio's own loops that compute for long. It does not
    find other waits in C code, and finds `time.sleep` only if the caller looks it up in its module.

    Args:
        report: called for each blocking call from inside it; for a long callback, after it.
    """
    global _hook_is_there  # noqa: PLW0603 - an audit hook cannot be removed
    if not _hook_is_there:
        _hook_is_there = True
        sys.addaudithook(_on_event)
    thread = threading.get_ident()
    if not _watchers:
        _patch(time, "sleep", lambda seconds: f"time.sleep({seconds})")
        _patch(threading.Condition, "wait", _describe_wait)
        _patch(subprocess.Popen, "wait", _describe_process)
    _watchers[thread] = report
    try:
        with watching_for_long_callbacks(report):
            yield
    finally:
        del _watchers[thread]
        if not _watchers:
            _patches.close()


def _patch(owner: Any, name: str, describe: Callable[..., str | None]) -> None:
    """Makes a function report its calls with the text of `describe`, unless that is empty."""
    real = getattr(owner, name)

    def reporting(*args: Any, **options: Any) -> Any:
        if threading.get_ident() in _watchers and (words := describe(*args, **options)):
            _report(words)
        return real(*args, **options)

    _patches.enter_context(mock.patch.object(owner, name, reporting))


def _describe_wait(_condition: threading.Condition, timeout: float | None = None) -> str | None:
    frame = sys._getframe(2)  # noqa: SLF001 - as below
    names = []
    while frame.f_back is not None and frame.f_globals.get("__name__") in _OF_THE_LIBRARY:
        names.append(frame.f_code.co_qualname)
        frame = frame.f_back
    if timeout == 0 or "Thread.start" in names:  # a thread starts at once
        return None
    return f"{names[-1]}()" if names else "Condition.wait()"


def _describe_process(process: subprocess.Popen[Any], timeout: float | None = None) -> str | None:
    if timeout == 0 or process.returncode is not None:
        return None
    return f"waiting for the process {process.args!r}"


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
