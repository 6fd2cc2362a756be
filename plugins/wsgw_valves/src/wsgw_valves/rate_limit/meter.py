"""Token buckets for messages and bytes."""

from __future__ import annotations

from collections.abc import Callable


class Bucket:
    """A token bucket: room for an amount, which comes back at a rate.

    Args:
        rate: amount a second.
        burst: maximum room.
        now: returns the time.
    """

    __slots__ = ("__weakref__", "_at", "_burst", "_now", "_rate", "_room")

    def __init__(self, rate: float, burst: float, now: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._room = burst
        self._at = now()

    def lacks(self, amount: float) -> float:
        """Returns the seconds until there is room for an amount; 0: there is room."""
        now = self._now()
        self._room = min(self._burst, self._room + (now - self._at) * self._rate)
        self._at = now
        return 0.0 if amount <= self._room else (amount - self._room) / self._rate

    def take(self, amount: float) -> None:
        """Takes room, even if there is too little; then later amounts wait longer."""
        self._room -= amount


class Meter:
    """The rates of messages and bytes.

    Args:
        messages, bytes_: None: no limit.
    """

    __slots__ = ("__weakref__", "_bytes", "_messages")

    def __init__(self, messages: Bucket | None, bytes_: Bucket | None) -> None:
        self._messages = messages
        self._bytes = bytes_

    def take(self, size: int, max_wait: float) -> float:
        """Returns the seconds that a message must wait, and takes the room for it.

        Args:
            size: bytes of the message.
            max_wait: seconds; for a longer wait it takes no room.
        """
        messages, bytes_ = self._messages, self._bytes
        wait = messages.lacks(1) if messages is not None else 0.0
        if bytes_ is not None:
            wait = max(wait, bytes_.lacks(size))
        if wait <= max_wait:
            if messages is not None:
                messages.take(1)
            if bytes_ is not None:
                bytes_.take(size)
        return wait
