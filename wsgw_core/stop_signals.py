"""SIGINT and SIGTERM: the first asks for a clean stop, the second ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Receives the signals, before and while an event loop runs.

    Until `attach` is called a signal raises SystemExit(0) where the main thread is: there is
    nothing yet that would have to be stopped. To be made and installed in the main thread.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._received = False

    def install(self) -> None:
        """Take the signals over."""
        for number in _SIGNALS:
            signal.signal(number, self._receive)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have this loop told of the signals from now on."""
        self._loop = loop

    async def wait(self) -> None:
        """Return when a stop is asked for."""
        await self._stop.wait()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._received:
            # As if nobody had taken the signal over, so that the exit status tells of it.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._received = True
        if self._loop is None or self._loop.is_closed():
            raise SystemExit(0)
        self._loop.call_soon_threadsafe(self._stop.set)
