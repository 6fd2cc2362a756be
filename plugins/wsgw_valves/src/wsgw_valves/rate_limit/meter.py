"""What may still pass."""

from __future__ import annotations

from collections.abc import Callable


class Bucket:
    """Room for some amount, which comes back at a rate (a token bucket).

    Args:
        rate: by the second.
        burst: the most that there is room for.
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
        """Return the seconds until there is room for an amount; 0: now."""
        now = self._now()
        self._room = min(self._burst, self._room + (now - self._at) * self._rate)
        self._at = now
        return 0.0 if amount <= self._room else (amount - self._room) / self._rate

    def take(self, amount: float) -> None:
        """Take the room for an amount; if there is too little, what comes next waits for longer."""
        self._room -= amount


class Meter:
    """The rates of messages and of bytes.

    Args:
        messages, bytes_: None: there is no such rate.
    """

    __slots__ = ("__weakref__", "_bytes", "_messages")

    def __init__(self, messages: Bucket | None, bytes_: Bucket | None) -> None:
        self._messages = messages
        self._bytes = bytes_

    def take(self, size: int, patience: float) -> float:
        """Return the seconds for which a message has to wait, and take the room for it.

        Args:
            size: bytes of the message.
            patience: if it had to wait for longer, no room is taken.
        """
        messages, bytes_ = self._messages, self._bytes
        wait = messages.lacks(1) if messages is not None else 0.0
        if bytes_ is not None:
            wait = max(wait, bytes_.lacks(size))
        if wait <= patience:
            if messages is not None:
                messages.take(1)
            if bytes_ is not None:
                bytes_.take(size)
        return wait
