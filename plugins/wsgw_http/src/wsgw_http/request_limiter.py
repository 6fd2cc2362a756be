"""Limits the requests in flight to each host."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


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
        # clients may choose hosts: one without requests leaves nothing behind
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self.in_flight = 0
        self.waiting = 0

    async def enter(self, host: str) -> asyncio.Semaphore:
        """Waits for a place and takes it; returns what to keep for `leave`."""
        places = self._hosts.get(host)
        if places is None:
            places = self._hosts[host] = asyncio.Semaphore(self._most)
        self.waiting += 1
        try:
            await places.acquire()
        finally:
            self.waiting -= 1
        self.in_flight += 1
        return places

    def leave(self, places: asyncio.Semaphore) -> None:
        """Gives a place back; the request that has waited longest gets it."""
        self.in_flight -= 1
        places.release()
