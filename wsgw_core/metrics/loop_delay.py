"""Measures the delay of the event loop, which delays every message."""

from __future__ import annotations

import asyncio

from ..api import Clock, Histogram

_INTERVAL = 0.25  # seconds


class LoopDelay:
    """Sets a timer repeatedly and records how late it fires.

    Args:
        clock: the event loop.
        delays: gets the delays in seconds.
    """

    def __init__(self, clock: Clock, delays: Histogram) -> None:
        self._clock = clock
        self._delays = delays
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Starts to measure."""
        self._due = self._clock.time() + _INTERVAL
        self._timer = self._clock.call_later(_INTERVAL, self._note)

    def stop(self) -> None:
        """Stops measuring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _note(self) -> None:
        self._delays.observe(max(0.0, self._clock.time() - self._due))
        self.start()
