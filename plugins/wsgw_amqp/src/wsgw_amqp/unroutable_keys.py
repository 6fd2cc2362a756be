"""Remembers routing keys that reach no queue, so that dials with them fail at once."""

from __future__ import annotations

from collections.abc import Iterable

from wsgw_core.api import Clock, UnusableAnswer

_PAUSE = 1.0  # seconds between two sessions that try a key
_MOST = 10_000


class UnroutableKeys:
    """The routing keys whose messages the broker returned or refused, until one is stored.

    One session a second may try such a key. Others do not get this backend: they would lose it with
    their first message, and such losses would count against the backend.

    Args:
        clock: the gateway's.
        is_wanted: False: remember no key.
    """

    def __init__(self, clock: Clock, *, is_wanted: bool) -> None:
        self._clock = clock
        self._is_wanted = is_wanted
        self._next_try: dict[str, float] = {}  # in the order of the first refusals

    def __len__(self) -> int:
        """The number of such keys."""
        return len(self._next_try)

    def refused(self, key: str) -> None:
        """Adds a key whose message no queue has."""
        if not self._is_wanted:
            return
        self._next_try[key] = self._clock.time() + _PAUSE
        if len(self._next_try) > _MOST:
            del self._next_try[next(iter(self._next_try))]

    def routed(self, key: str) -> None:
        """Removes a key whose message a queue has."""
        self._next_try.pop(key, None)

    def forget(self) -> None:
        """Removes all keys."""
        self._next_try.clear()

    def check(self, keys: Iterable[str]) -> None:
        """Called at each dial: lets a session try its keys.

        Raises:
            UnusableAnswer: a key reaches no queue, and another session has just tried it.
        """
        if not self._next_try:
            return
        now = self._clock.time()
        for key in keys:
            if self._next_try.get(key, now) > now:
                raise UnusableAnswer(f"no queue is bound for the key {key!r}")
        for key in keys:
            if key in self._next_try:
                self._next_try[key] = now + _PAUSE
