"""Which routing keys lead to no queue, so that dials for them fail at once."""

from __future__ import annotations

from collections.abc import Iterable

from wsgw_core.api import Clock, UnusableAnswer

_PAUSE = 1.0  # seconds between two sessions that try a key
_MOST = 10_000


class UnroutableKeys:
    """The keys for which a message came back, or was refused, until one was routed.

    One session in a second may try such a key. The others do not get this backend: they would lose
    it again with their first message, and such losses would count against it.

    Args:
        clock: tells the time.
        is_wanted: False: what comes back does not concern dials, and no key is remembered.
    """

    def __init__(self, clock: Clock, *, is_wanted: bool) -> None:
        self._clock = clock
        self._is_wanted = is_wanted
        self._next_try: dict[str, float] = {}  # in the order in which they were seen first

    def __len__(self) -> int:
        """How many there are."""
        return len(self._next_try)

    def refused(self, key: str) -> None:
        """Notes that a message with this key is in no queue."""
        if not self._is_wanted:
            return
        self._next_try[key] = self._clock.time() + _PAUSE
        if len(self._next_try) > _MOST:
            del self._next_try[next(iter(self._next_try))]

    def routed(self, key: str) -> None:
        """Notes that a message with this key is in a queue."""
        self._next_try.pop(key, None)

    def forget(self) -> None:
        """Lets all keys be tried."""
        self._next_try.clear()

    def check(self, keys: Iterable[str]) -> None:
        """Lets a session try its keys.

        Raises:
            UnusableAnswer: one of them leads to no queue, and it was tried just now.
        """
        if not self._next_try:
            return
        now = self._clock.time()
        for key in keys:
            if self._next_try.get(key, now) > now:
                raise UnusableAnswer(f"no queue takes messages with the key {key!r}")
        for key in keys:
            if key in self._next_try:
                self._next_try[key] = now + _PAUSE
