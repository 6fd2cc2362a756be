"""How long and how often another backend is looked for."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ..config import FailoverOptions

if TYPE_CHECKING:
    from ..pool.backend_pool import PooledBackend


class Failover:
    """From the loss of a backend until another has proved that it lasts.

    A backend that accepts and drops does not end a failover: hold and back-off go on counting.

    Args:
        options: hold and back-off.
        now: the clock's time.
        lost: the backend that was lost.
    """

    __slots__ = ("_backoff", "_deadline", "_options", "last")

    def __init__(self, options: FailoverOptions, now: float, lost: PooledBackend) -> None:
        self._options = options
        self._deadline = now + options.hold
        self._backoff = 0.0
        self.last = lost

    def lost_again(self, lost: PooledBackend) -> None:
        """Note that the replacement did not last."""
        self.last = lost
        self.failed()

    def failed(self) -> None:
        """Note a round of dials without success: the next one waits longer."""
        longer = self._backoff * 2 or self._options.backoff
        self._backoff = min(longer, self._options.max_backoff)

    def pause(self, now: float) -> float:
        """Return how long to wait before the next round, jittered, within the hold."""
        jittered = self._backoff * random.uniform(0.5, 1)  # noqa: S311 - not for secrets
        return min(jittered, max(0.0, self._deadline - now))

    @property
    def deadline(self) -> float | None:
        """When the hold is over; None: there is none, just one round of dials."""
        return self._deadline if self._options.hold else None

    def over(self, now: float) -> bool:
        """Whether the hold is over."""
        return now >= self._deadline
