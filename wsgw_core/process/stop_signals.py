"""Handles SIGINT and SIGTERM: the first signal requests a clean stop, the second ends the process.

SIGHUP, which requests a reload, is ignored before the start and after the stop.

Imports very little, so that the handlers are installed before anything slow.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Handles the signals before and while a gateway runs.

    Without a stop function, a signal raises KeyboardInterrupt in the main thread, because there is
    nothing to stop yet. Make and install it in the main thread.
    """

    def __init__(self) -> None:
        self._stop: Callable[[], object] | None = None
        self._received = False

    def install(self) -> None:
        """Installs the signal handlers."""
        for number in _SIGNALS:
            signal.signal(number, self._receive)
        if (hang_up := getattr(signal, "SIGHUP", None)) is not None:
            # The default action would end a gateway that is starting or stopping.
            signal.signal(hang_up, signal.SIG_IGN)

    def tell(self, stop: Callable[[], object] | None) -> None:
        """Sets the function to call at the first signal; None: no function.

        Calls it at once if a signal has already arrived, because code may have swallowed the
        KeyboardInterrupt. The call can happen between any two instructions; for an event loop use
        `call_soon_threadsafe`.
        """
        self._stop = stop
        if stop is not None and self._received:
            stop()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._received:
            # Restores the default handler, so that the exit status shows the signal.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._received = True
        if self._stop is None:
            raise KeyboardInterrupt
        self._stop()
