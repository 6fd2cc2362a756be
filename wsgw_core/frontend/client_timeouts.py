"""Closes clients that are gone, or have been silent, slow or there for too long."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from ..api import Clock
from ..websocket import LEAST_RATE, session_ends
from .client_keepalive import ClientKeepalive

if TYPE_CHECKING:
    from ..metrics.counters import GatewayCounters
    from .client_socket import ClientSocket

_PONG_ARRIVES = 0.1  # seconds at most between its last byte and its being read
_ROUNDS = 8  # in the shorter of the two times
_LONGEST_WAIT = 5.0  # seconds between two rounds
_AT_ONCE = 500  # clients looked at in one turn of the loop


class ClientTimeouts:
    """Looks at all clients every now and then; that costs messages nothing.

    So a client is closed somewhat late: by a quarter of the time, or ten seconds, at most. Silent
    is a client of which nothing comes, no ping and no part of a message either; answers to our own
    pings are no news. While it is not read it cannot be heard; that does not count.

    Args:
        clock: time and timers.
        counters: of the gateway.
        idle_timeout: seconds of silence; None: not bounded.
        max_life: seconds from the opening of the websocket; None: not bounded. Each client is given
            up to a tenth less, so that those who have come together do not come again together.
        slow_timeout: seconds for which a client may take less than 256 bytes a second of what
            waits for it; None: not bounded.
        ping_time: seconds of silence after which a client is pinged; None: never.
        ping_timeout: seconds for which that may stay unanswered.
    """

    def __init__(
        self,
        clock: Clock,
        counters: GatewayCounters,
        *,
        idle_timeout: float | None = None,
        max_life: float | None = None,
        slow_timeout: float | None = None,
        ping_time: float | None = None,
        ping_timeout: float = 20.0,
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._idle_timeout = idle_timeout
        self._max_life = max_life
        self._slow_timeout = slow_timeout
        self._ping_time = ping_time
        self._ping_timeout = ping_timeout
        bounds = [idle_timeout, max_life, slow_timeout, ping_time]
        if ping_time is not None:
            bounds.append(ping_timeout)
        times = [time for time in bounds if time is not None]
        self._wait = min(_LONGEST_WAIT, min(times) / _ROUNDS) if times else None
        self._watched: dict[ClientSocket, _Watched] = {}
        self._next: asyncio.Handle | None = None

    def watch(self, client: ClientSocket) -> None:
        """Looks at a client until it is forgotten."""
        if self._wait is None:
            return
        now = self._clock.time()
        life = self._max_life or float("inf")
        ends_at = now + life * random.uniform(0.9, 1)  # noqa: S311 - not for secrets
        keepalive = None
        if self._ping_time is not None:
            keepalive = ClientKeepalive(client, self._ping_time, self._ping_timeout, now)
        self._watched[client] = _Watched(client.activity, now, ends_at, keepalive)
        if self._next is None:
            self._next = self._clock.call_later(self._wait, self._begin_round)

    def forget(self, client: ClientSocket) -> None:
        """Looks at a client no more; it may be unknown."""
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
            return
        held = client.is_paused
        activity, pongs = client.activity, client.pongs
        active = activity != watched.activity or held
        alive = active or pongs != watched.pongs
        watched.activity, watched.pongs = activity, pongs
        if active:
            watched.heard_at = now
        blocked = client.blocked_since
        if now >= watched.ends_at:
            self._counters.old_sessions_closed.value += 1
            self._close(client, session_ends.SESSION_OLD, "maximum session time reached")
        elif blocked is not None and self._is_too_slow(client, watched, blocked, now):
            self._counters.slow_clients_closed.value += 1
            self._counters.mutual_blocks.value += held
            self._close(client, session_ends.CLIENT_SLOW, "client reads too slowly")
        elif self._is_idle(client, watched, now):
            self._counters.idle_clients_closed.value += 1
            self._close(client, session_ends.CLIENT_IDLE, "client was silent for too long")
        elif watched.keepalive is not None and watched.keepalive.is_gone(
            now, heard=alive or blocked is not None
        ):
            self._counters.dead_clients_dropped.value += 1
            del self._watched[client]
            client.abort()

    def _close(self, client: ClientSocket, end: session_ends.End, reason: str) -> None:
        del self._watched[client]
        client.close(end.client, reason)

    def _is_too_slow(
        self, client: ClientSocket, watched: _Watched, blocked_since: float, now: float
    ) -> bool:
        if self._slow_timeout is None:
            return False
        taken = client.taken()
        if watched.blocked_since != blocked_since:
            watched.blocked_since = watched.slow_since = blocked_since
            watched.taken = taken
        elif taken - watched.taken >= self._slow_timeout * LEAST_RATE:
            watched.slow_since = now
            watched.taken = taken
        return now - watched.slow_since >= self._slow_timeout

    def _is_idle(self, client: ClientSocket, watched: _Watched, now: float) -> bool:
        if self._idle_timeout is None or now - watched.heard_at < self._idle_timeout:
            return False
        silence = self._idle_timeout
        # what came last may have been a pong, unless it belongs to a frame that is not whole
        if client.ponged_at is not None and not client.is_in_a_frame:
            silence = min(silence, now - client.ponged_at - _PONG_ARRIVES)
        return silence > 0 and client.silent_for(silence)


class _Watched:
    """What was seen of a client in the last round."""

    __slots__ = (
        "activity",
        "blocked_since",
        "ends_at",
        "heard_at",
        "keepalive",
        "pongs",
        "slow_since",
        "taken",
    )

    def __init__(
        self, activity: int, heard_at: float, ends_at: float, keepalive: ClientKeepalive | None
    ) -> None:
        self.activity = activity
        self.heard_at = heard_at
        self.ends_at = ends_at
        self.keepalive = keepalive
        self.pongs = 0
        self.blocked_since: float | None = None  # when the client was last seen blocked
        self.slow_since = 0.0  # when it had last taken enough
        self.taken = 0  # what it had taken then
