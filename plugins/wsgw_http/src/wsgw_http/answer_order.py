"""Puts answers, which come in any order, into the order of the messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class AnswerOrder:
    """Runs an action for each message of one session, in the order of the messages."""

    __slots__ = ("_begun", "_next", "_ready", "_waiting")

    def __init__(self) -> None:
        self._begun = 0
        self._next = 0
        self._ready: dict[int, Callable[[], None]] = {}
        self._waiting: dict[int, asyncio.Future[None]] = {}

    def begin(self) -> int:
        """Returns the turn of a new message; turns count from 0."""
        self._begun += 1
        return self._begun - 1

    def finish(self, turn: int, act: Callable[[], None]) -> None:
        """Calls `act` as soon as all earlier turns have finished; that may be at once."""
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
        """Waits until all earlier turns have finished."""
        if turn != self._next:
            waiting = self._waiting[turn] = asyncio.get_running_loop().create_future()
            await waiting
