"""Pings the connections of one backend: busy ones for acknowledgements, idle ones for liveness."""

from __future__ import annotations

import logging
import math
import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wsgw_core.api import Clock

if TYPE_CHECKING:
    import asyncio

    from .connection import WebSocketConnection

_TURNS_PER_SECOND = 500  # of all busy connections together
_LONGEST_INTERVAL = 1.0
_SWEEPS = 64  # rounds over the idle connections in one ping time
_SHORTEST_PAUSE = 0.005  # seconds between two rounds


class Pinger:
    """Two timers for all connections, however many there are.

    Busy connections take turns: each tick gives turns to as many as the maximum rate allows. No
    connection waits for its turn longer than `_LONGEST_INTERVAL`.

    Args:
        clock: time and timers.
        logger: logs faults of wsgw.
        ack_interval: seconds between two ticks, and minimum seconds between two turns.
        ping_time: seconds between two pings of an idle connection.
    """

    def __init__(
        self, clock: Clock, logger: logging.Logger, ack_interval: float, ping_time: float
    ) -> None:
        self._clock = clock
        self._logger = logger
        self._ack_interval = ack_interval
        self._ping_time = ping_time
        self._pause = max(ping_time / _SWEEPS, _SHORTEST_PAUSE)
        self._busy: deque[WebSocketConnection] = deque()
        self._ticking: asyncio.TimerHandle | None = None
        self._due: dict[WebSocketConnection, float] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def add(self, connection: WebSocketConnection) -> None:
        """Begins to ping a connection while it is idle."""
        # spread, so that sessions that moved together are not always pinged together
        first = random.uniform(0.5, 1) * self._ping_time  # noqa: S311 - not a secret
        self._due[connection] = self._clock.time() + first
        if self._sweeping is None:
            self._sweeping = self._clock.call_later(self._pause, self._sweep)

    def remove(self, connection: WebSocketConnection) -> None:
        """Stops pinging an idle connection."""
        self._due.pop(connection, None)

    def watch(self, connection: WebSocketConnection) -> None:
        """Calls `connection.tick(now)` at each turn until it returns False.

        Do not call it again before that.
        """
        self._busy.append(connection)
        if self._ticking is None:
            self._ticking = self._clock.call_later(self._ack_interval, self._tick)

    def close(self) -> None:
        """Stops both timers."""
        for timer in (self._ticking, self._sweeping):
            if timer is not None:
                timer.cancel()
        self._busy.clear()
        self._due.clear()

    def _tick(self) -> None:
        now = self._clock.time()
        turns = self._ack_interval * max(_TURNS_PER_SECOND, len(self._busy) / _LONGEST_INTERVAL)
        for _ in range(min(math.ceil(turns), len(self._busy))):
            connection = self._busy.popleft()
            with self._fault_of_one(connection):
                if connection.tick(now):
                    self._busy.append(connection)
        self._ticking = (
            self._clock.call_later(self._ack_interval, self._tick) if self._busy else None
        )

    def _sweep(self) -> None:
        now = self._clock.time()
        for connection in [connection for connection, due in self._due.items() if due <= now]:
            self._due[connection] = now + self._ping_time
            with self._fault_of_one(connection):
                connection.keep_alive(now)
        self._sweeping = self._clock.call_later(self._pause, self._sweep) if self._due else None

    @contextmanager
    def _fault_of_one(self, connection: WebSocketConnection) -> Iterator[None]:
        """Keeps a fault with one connection from all others."""
        try:
            yield
        except Exception:
            self._logger.exception("fault in a websocket connection")
            connection.fail()
