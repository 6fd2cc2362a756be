"""Closes clients that have been silent, or there, for too long."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from ..api import Clock

if TYPE_CHECKING:
    from ..metrics import GatewayCounters
    from .client_socket import ClientSocket

_GOING_AWAY = 1001
_ROUNDS = 8  # in the shorter of the two times
_LONGEST_WAIT = 5.0  # seconds between two rounds
_AT_ONCE = 500  # clients looked at in one turn of the loop


class ClientSweep:
    """Looks at all clients every now and then; that costs messages nothing.

    So a client is closed somewhat late: by a quarter of the time, or ten seconds, at most. Silent
    is a client of which nothing comes, no ping and no part of a message either. While it is not
    read it cannot be heard; that does not count.

    Args:
        clock: time and timers.
        counters: of the gateway.
        idle_timeout: seconds of silence; None: not bounded.
        max_life: seconds from the opening of the websocket; None: not bounded. Each client is given
            up to a tenth less, so that those who have come together do not come again together.
    """

    def __init__(
        self,
        clock: Clock,
        counters: GatewayCounters,
        *,
        idle_timeout: float | None = None,
        max_life: float | None = None,
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._idle_timeout = idle_timeout
        self._max_life = max_life
        times = [time for time in (idle_timeout, max_life) if time is not None]
        self._wait = min(_LONGEST_WAIT, min(times) / _ROUNDS) if times else None
        self._watched: dict[ClientSocket, _Watched] = {}
        self._next: asyncio.Handle | None = None

    def watch(self, client: ClientSocket) -> None:
        """Look at a client until it is forgotten."""
        if self._wait is None:
            return
        now = self._clock.time()
        life = self._max_life or float("inf")
        ends_at = now + life * random.uniform(0.9, 1)  # noqa: S311 - not for secrets
        self._watched[client] = _Watched(client.activity, now, ends_at)
        if self._next is None:
            self._next = self._clock.call_later(self._wait, self._begin_round)

    def forget(self, client: ClientSocket) -> None:
        """Look at a client no more; it may be unknown."""
        self._watched.pop(client, None)
        if not self._watched and self._next is not None:
            self._next.cancel()
            self._next = None

    def _begin_round(self) -> None:
        self._go_on(tuple(self._watched))

    def _go_on(self, clients: tuple[ClientSocket, ...]) -> None:
        now = self._clock.time()
        for client in clients[:_AT_ONCE]:
            watched = self._watched.get(client)
            if watched is not None:
                self._look_at(client, watched, now)
        rest = clients[_AT_ONCE:]
        if rest:
            self._next = self._clock.call_soon(self._go_on, rest)
        elif self._watched and self._wait is not None:
            self._next = self._clock.call_later(self._wait, self._begin_round)
        else:
            self._next = None

    def _look_at(self, client: ClientSocket, watched: _Watched, now: float) -> None:
        if not client.is_open:
            del self._watched[client]
        elif now >= watched.ends_at:
            self._counters.old_sessions_closed.value += 1
            del self._watched[client]
            client.close(_GOING_AWAY, "session has lasted long enough")
        elif self._idle_timeout is not None:
            activity = client.activity
            if activity != watched.activity or client.is_held:
                watched.activity = activity
                watched.heard_at = now
            elif now - watched.heard_at >= self._idle_timeout and client.silent_for(
                self._idle_timeout
            ):
                self._counters.idle_clients_closed.value += 1
                del self._watched[client]
                client.close(_GOING_AWAY, "nothing was received for too long")


class _Watched:
    """What was seen of a client in the last round."""

    __slots__ = ("activity", "ends_at", "heard_at")

    def __init__(self, activity: int, heard_at: float, ends_at: float) -> None:
        self.activity = activity
        self.heard_at = heard_at
        self.ends_at = ends_at
