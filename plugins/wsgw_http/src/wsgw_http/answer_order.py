"""Brings what is answered in any order into the order of the messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class AnswerOrder:
    """Has actions on the messages of one session take place in their order."""

    __slots__ = ("_begun", "_next", "_ready", "_waiting")

    def __init__(self) -> None:
        self._begun = 0
        self._next = 0
        self._ready: dict[int, Callable[[], None]] = {}
        self._waiting: dict[int, asyncio.Future[None]] = {}

    def begin(self) -> int:
        """Return the turn of a message that is sent."""
        self._begun += 1
        return self._begun - 1

    def finish(self, turn: int, act: Callable[[], None]) -> None:
        """Act when all messages before have finished; at once, if they have."""
        if turn == self._next and not self._ready and not self._waiting:
            self._next += 1
            act()
            return
        self._ready[turn] = act
        while (now := self._ready.pop(self._next, None)) is not None:
            self._next += 1
            now()
            waiting = self._waiting.pop(self._next, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    async def wait_for(self, turn: int) -> None:
        """Return when all messages before have finished."""
        if turn != self._next:
            waiting = self._waiting[turn] = asyncio.get_running_loop().create_future()
            await waiting
