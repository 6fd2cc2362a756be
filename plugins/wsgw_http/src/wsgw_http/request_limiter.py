"""Limits the requests in flight to each host."""

from __future__ import annotations

import asyncio
from collections import deque


class RequestLimiter:
    """Limits the requests in flight to each host; more wait in the order of their arrival.

    A request leaves when its answer has been read. An event stream, which lasts, leaves as soon as
    the headers of the answer have arrived.

    Args:
        most: maximum number of requests in flight to one host.

    Attributes:
        in_flight, waiting: requests to all hosts.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._hosts: dict[str, _Host] = {}
        self.in_flight = 0
        self.waiting = 0

    def has_entered(self, host: str) -> bool:
        """Takes a place if one is free; otherwise call `wait`. Call `leave` once for each place."""
        places = self._hosts.get(host)
        if places is None:
            places = self._hosts[host] = _Host()
        if places.in_flight >= self._most:
            return False
        places.in_flight += 1
        self.in_flight += 1
        return True

    async def wait(self, host: str) -> None:
        """Waits for a place and takes it."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hosts[host].waiting.append(turn)
        self.waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place is already ours
                self._pass_on(host)
            raise
        finally:
            self.waiting -= 1
        self.in_flight += 1

    def leave(self, host: str) -> None:
        """Gives a place back; the request that has waited longest gets it."""
        self.in_flight -= 1
        self._pass_on(host)

    def _pass_on(self, host: str) -> None:
        places = self._hosts[host]
        while places.waiting:
            turn = places.waiting.popleft()
            if not turn.done():  # not cancelled
                turn.set_result(None)
                return
        places.in_flight -= 1
        if not places.in_flight:
            del self._hosts[host]


class _Host:
    """The places at one host."""

    __slots__ = ("in_flight", "waiting")

    def __init__(self) -> None:
        self.in_flight = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
