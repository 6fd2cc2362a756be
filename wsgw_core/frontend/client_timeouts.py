"""Closes clients that are gone, silent or slow, or have been connected for too long."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from ..api import Clock
from ..metrics.counters import GatewayCounters
from ..websocket import LEAST_RATE, session_ends
from .client_keepalive import ClientKeepalive
from .client_socket import ClientSocket

_PONG_ARRIVES = 0.1  # maximum seconds between the arrival of a pong and its reading
_ROUNDS = 8  # rounds in the shortest of the configured times
_SHORTEST_WAIT, _LONGEST_WAIT = 0.005, 5.0  # seconds between two rounds
_AT_ONCE = 500  # clients checked in one turn of the loop


class ClientTimeouts:
    """Checks all clients in rounds, without cost for each message.

    So it closes a client somewhat late, by at most a quarter of the time or ten seconds. A client
    is silent when no bytes arrive, not even a ping or a part of a message. Pongs do not count, and
    neither does the time in which wsgw does not read the client.

    Args:
        clock: time and timers.
        counters: the gateway's counters.
        idle_timeout: maximum seconds of silence; None: no limit.
        max_life: maximum seconds since the opening of the websocket; None: no limit. Each client
            gets up to a tenth less, so that clients that came together do not reconnect together.
        slow_timeout: maximum seconds for which a client may take less than 256 bytes a second of
            what waits for it; None: no limit.
        ping_time: ping a client after so many seconds of silence; None: never.
        ping_timeout: maximum seconds for the answer to a ping.
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
        wait = min(times, default=0.0) / _ROUNDS
        self._wait = min(max(wait, _SHORTEST_WAIT), _LONGEST_WAIT) if times else None
        self._watched: dict[ClientSocket, _Watched] = {}
        self._next: asyncio.Handle | None = None

    def watch(self, client: ClientSocket) -> None:
        """Begins to check a client."""
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
        """Stops checking a client, which may be unknown."""
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
        is_paused = client.is_paused
        activity, pongs = client.activity, client.pongs
        active = activity != watched.activity or is_paused
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
            self._counters.mutual_blocks.value += is_paused
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
        # the last bytes may have been a pong, unless they belong to an incomplete frame
        if client.ponged_at is not None and not client.is_in_a_frame:
            silence = min(silence, now - client.ponged_at - _PONG_ARRIVES)
        return silence > 0 and client.silent_for(silence)


@dataclass(slots=True)
class _Watched:
    """A client's state in the last round."""

    activity: int
    heard_at: float
    ends_at: float
    keepalive: ClientKeepalive | None
    pongs: int = 0
    blocked_since: float | None = None  # the client's, in the last round
    slow_since: float = 0.0  # when the client had last taken enough
    taken: int = 0  # how much it had taken then
