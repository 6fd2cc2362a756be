"""Keeps messages that the backend has acknowledged and the application must still answer."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush

from ...api import ReplyExpected

_SPARE = 64  # stale deadlines that may always stay


class AwaitedReplies:
    """Finds messages by handle and by deadline, in constant or logarithmic time.

    Iteration yields the messages in the order in which they were added.
    """

    __slots__ = ("_deadlines", "_messages")

    def __init__(self) -> None:
        self._messages: dict[Hashable, tuple[int, float, ReplyExpected]] = {}
        # A heap of (expires, number, handle). Deadlines of answered messages stay until they reach
        # the top or outnumber the others.
        self._deadlines: list[tuple[float, int, Hashable]] = []

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[ReplyExpected]:
        return (message for _, _, message in self._messages.values())

    def numbered(self) -> Iterator[tuple[ReplyExpected, int]]:
        """Iterates over the messages, each with its number."""
        return ((message, number) for number, _, message in self._messages.values())

    def add(self, message: ReplyExpected, number: int, expires: float) -> ReplyExpected | None:
        """Adds a message.

        Args:
            message: the message that was delivered last.
            number: its number.
            expires: the clock's time at which its reply is overdue.

        Returns:
            The older message with the same handle, which it replaces; a valve should not do that.
        """
        older = self.pop(message.handle)
        self._messages[message.handle] = (number, expires, message)
        heappush(self._deadlines, (expires, number, message.handle))
        return older

    def pop(self, handle: Hashable) -> ReplyExpected | None:
        """Removes and returns the message of this handle, if there is one."""
        found = self._messages.pop(handle, None)
        if found is None:
            return None
        if len(self._deadlines) > 2 * len(self._messages) + _SPARE:
            self._deadlines = [
                (expires, number, key) for key, (number, expires, _) in self._messages.items()
            ]
            heapify(self._deadlines)
        return found[2]

    @property
    def next_expiry(self) -> float | None:
        """When the next reply is overdue; None: no reply is awaited."""
        deadlines = self._deadlines
        while deadlines:
            expires, number, handle = deadlines[0]
            if self._messages.get(handle, (0,))[0] == number:
                return expires
            heappop(deadlines)
        return None

    def pop_overdue(self, now: float) -> ReplyExpected | None:
        """Removes and returns the message whose reply is overdue longest, if there is one."""
        expires = self.next_expiry
        return None if expires is None or expires > now else self.pop(self._deadlines[0][2])
