"""Limits admin calls to one in each turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque


class CallTurns:
    """Lets one call proceed in each turn of the event loop, in the order of arrival.

    A call takes as long as dozens of relayed messages. Without the limit, programs that send
    messages over many connections would delay all sessions in each turn.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_taken = False

    async def wait(self) -> None:
        """Returns when it is the caller's turn; at once if no other call has taken this one."""
        if self._is_taken:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        else:
            self._take()

    def _take(self) -> None:
        self._is_taken = True
        asyncio.get_running_loop().call_soon(self._pass_on)

    def _pass_on(self) -> None:
        self._is_taken = False
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # not given up
                self._take()
                turn.set_result(None)
                return
