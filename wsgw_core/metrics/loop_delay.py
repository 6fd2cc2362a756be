"""Measures how late the event loop is: whatever keeps it busy keeps every message waiting."""

from __future__ import annotations

import asyncio

from ..api import Clock, Histogram

_INTERVAL = 0.25  # seconds


class LoopDelay:
    """Sets a timer again and again, and notes how much later than asked for it comes.

    Args:
        clock: the loop.
        delays: filled in, in seconds.
    """

    def __init__(self, clock: Clock, delays: Histogram) -> None:
        self._clock = clock
        self._delays = delays
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Measures until `stop`."""
        self._due = self._clock.time() + _INTERVAL
        self._timer = self._clock.call_later(_INTERVAL, self._note)

    def stop(self) -> None:
        """Measures no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _note(self) -> None:
        self._delays.observe(max(0.0, self._clock.time() - self._due))
        self.start()
