"""Pings the connections of one backend: the busy for acknowledgement, the idle for life."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from wsgw_core.api import Clock

if TYPE_CHECKING:
    import asyncio

    from .connection import WebSocketConnection

_PINGS_PER_SECOND = 500  # of all busy connections together
_LONGEST_INTERVAL = 1.0
_SWEEPS = 8  # over the idle connections, in one ping time


class Pinger:
    """Two timers for all connections, however many there are.

    Args:
        clock: time and timers.
        ack_interval: least seconds between two pings for acknowledgement on one connection; grows
            to 1 s with the number of busy connections.
        ping_time: seconds between two pings on an idle connection.
    """

    def __init__(self, clock: Clock, ack_interval: float, ping_time: float) -> None:
        self._clock = clock
        self._ack_interval = ack_interval
        self._ping_time = ping_time
        self._busy: set[WebSocketConnection] = set()
        self._ticking: asyncio.TimerHandle | None = None
        self._due: dict[WebSocketConnection, float] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def add(self, connection: WebSocketConnection) -> None:
        """Keep a connection alive from now on."""
        # spread, so that sessions that moved together are not pinged together for ever
        first = random.uniform(0.5, 1) * self._ping_time  # noqa: S311 - not a secret
        self._due[connection] = self._clock.time() + first
        if self._sweeping is None:
            self._sweeping = self._clock.call_later(self._ping_time / _SWEEPS, self._sweep)

    def remove(self, connection: WebSocketConnection) -> None:
        """Forget a connection."""
        self._due.pop(connection, None)
        self._busy.discard(connection)

    def watch(self, connection: WebSocketConnection) -> None:
        """Have `connection.tick(now)` called at each interval until it returns False."""
        self._busy.add(connection)
        if self._ticking is None:
            self._ticking = self._clock.call_later(self.interval, self._tick)

    @property
    def interval(self) -> float:
        """Seconds between two ticks, by the number of busy connections."""
        wanted = max(self._ack_interval, len(self._busy) / _PINGS_PER_SECOND)
        return min(wanted, max(self._ack_interval, _LONGEST_INTERVAL))

    def close(self) -> None:
        """Stop both timers."""
        for timer in (self._ticking, self._sweeping):
            if timer is not None:
                timer.cancel()
        self._busy.clear()
        self._due.clear()

    def _tick(self) -> None:
        now = self._clock.time()
        for connection in list(self._busy):
            if not connection.tick(now):
                self._busy.discard(connection)
        self._ticking = self._clock.call_later(self.interval, self._tick) if self._busy else None

    def _sweep(self) -> None:
        now = self._clock.time()
        for connection, due in list(self._due.items()):
            if due <= now:
                self._due[connection] = now + self._ping_time
                connection.keep_alive(now)
        self._sweeping = (
            self._clock.call_later(self._ping_time / _SWEEPS, self._sweep) if self._due else None
        )
