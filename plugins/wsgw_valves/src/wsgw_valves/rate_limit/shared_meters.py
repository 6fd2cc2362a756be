"""Meters that sessions share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from weakref import WeakValueDictionary

from .meter import Meter

_MOST_IDLE = 10_000
_LONGEST_KEY = 64  # characters; clients choose the keys


class SharedMeters:
    """Meters by key. A meter stays while a session uses it, and the last 10,000 stay longer.

    So a client cannot get a full bucket by reconnecting.

    Args:
        make: returns a new meter.
    """

    def __init__(self, make: Callable[[], Meter]) -> None:
        self._make = make
        self._used: WeakValueDictionary[str, Meter] = WeakValueDictionary()
        self._recent: OrderedDict[str, Meter] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the last 10,000 meters."""
        return tuple(self._recent)

    def get(self, key: str) -> Meter:
        """Returns the meter of a key."""
        if len(key) > _LONGEST_KEY:
            key = sha256(key.encode(errors="surrogatepass")).hexdigest()
        meter = self._used.get(key)
        if meter is None:
            meter = self._used[key] = self._make()
        self._recent[key] = meter
        self._recent.move_to_end(key)
        if len(self._recent) > _MOST_IDLE:
            self._recent.popitem(last=False)
        return meter
