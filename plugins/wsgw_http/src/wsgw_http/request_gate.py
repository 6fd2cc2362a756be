"""How many requests are under way at a time."""

from __future__ import annotations

import asyncio
from collections import deque


class RequestGate:
    """Lets so many requests to one host be under way; others wait in the order of their arrival.

    The connections of event streams, which last, do not keep it closed: whoever has an answer's
    headers may leave.

    Args:
        most: requests under way to one host.

    Attributes:
        under_way, waiting: requests, of all hosts.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._hosts: dict[str, _Host] = {}
        self.under_way = 0
        self.waiting = 0

    def has_entered(self, host: str) -> bool:
        """Take a place if there is one; if not, `wait`. Each place needs one `leave`."""
        places = self._hosts.get(host)
        if places is None:
            places = self._hosts[host] = _Host()
        if places.under_way >= self._most:
            return False
        places.under_way += 1
        self.under_way += 1
        return True

    async def wait(self, host: str) -> None:
        """Take a place when there is one, and it is our turn."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hosts[host].waiting.append(turn)
        self.waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place had just been given
                self._pass_on(host)
            raise
        finally:
            self.waiting -= 1
        self.under_way += 1

    def leave(self, host: str) -> None:
        """Give the place to whoever waits longest."""
        self.under_way -= 1
        self._pass_on(host)

    def _pass_on(self, host: str) -> None:
        places = self._hosts[host]
        while places.waiting:
            turn = places.waiting.popleft()
            if not turn.done():  # not given up
                turn.set_result(None)
                return
        places.under_way -= 1
        if not places.under_way:
            del self._hosts[host]


class _Host:
    """The places at one host."""

    __slots__ = ("under_way", "waiting")

    def __init__(self) -> None:
        self.under_way = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
