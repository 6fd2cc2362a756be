"""SIGINT and SIGTERM: the first asks for a clean stop, the second ends the process.

SIGHUP, which asks for a reload, ends nothing while there is nothing to reload.

Imports next to nothing, so that it is there before everything slow.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Receives the signals, before and while a gateway runs.

    While nobody is to be told, a signal raises KeyboardInterrupt where the main thread is: there
    is nothing that would have to be stopped. To be made and installed in the main thread.
    """

    def __init__(self) -> None:
        self._stop: Callable[[], object] | None = None
        self._received = False

    def install(self) -> None:
        """Takes the signals over."""
        for number in _SIGNALS:
            signal.signal(number, self._receive)
        if (hang_up := getattr(signal, "SIGHUP", None)) is not None:
            # Its default would end a gateway that starts or stops, clients and all.
            signal.signal(hang_up, signal.SIG_IGN)

    def tell(self, stop: Callable[[], object] | None) -> None:
        """Has `stop` called at the first signal, from between any two instructions; None: no more.

        Called at once when the signal came already: the exception that it raised can have been
        lost in a place that lets none through. For an event loop, `stop` has to go through
        `call_soon_threadsafe`.
        """
        self._stop = stop
        if stop is not None and self._received:
            stop()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._received:
            # As if nobody had taken the signal over, so that the exit status tells of it.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._received = True
        if self._stop is None:
            raise KeyboardInterrupt
        self._stop()
