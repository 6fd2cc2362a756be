"""How long and how often another backend is looked for."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ...config.failover_options import FailoverOptions

if TYPE_CHECKING:
    from ...pool.backends.backend_pool import PooledBackend


class Failover:
    """From the loss of a backend until another has proved that it lasts.

    A backend that accepts and drops does not end a failover: hold and back-off go on counting. One
    that has taken messages before it drops has the hold begin anew, but not the back-off.

    Args:
        options: hold and back-off.
        now: the clock's time.
        lost: the backend that was lost.
    """

    __slots__ = (
        "_backoff",
        "_deadline",
        "_options",
        "_progressed",
        "_tried",
        "last",
        "lost_at",
    )

    def __init__(self, options: FailoverOptions, now: float, lost: PooledBackend) -> None:
        self._options = options
        self._deadline = now + options.hold
        self.lost_at = now
        self._backoff = 0.0
        self._tried = False  # a round, in vain
        self._progressed = False  # since the last one
        self.last = lost

    def progressed(self, now: float) -> None:
        """Note that the replacement has taken messages."""
        self._deadline = now + self._options.hold
        self._progressed = True

    def lost_again(self, lost: PooledBackend, now: float) -> None:
        """Note that the replacement did not last."""
        self.last = lost
        self.lost_at = now
        self._tried = not self._progressed
        self._progressed = False
        self._wait_longer()

    def failed(self) -> None:
        """Note a round of dials without success: the next one waits longer."""
        self._tried = True
        self._wait_longer()

    def _wait_longer(self) -> None:
        longer = self._backoff * 2 or self._options.backoff
        self._backoff = min(longer, self._options.max_backoff)

    def pause(self, now: float) -> float:
        """Return how long to wait before the next round, jittered, within the hold if any."""
        if self.over(now):
            return 0.0
        jittered = self._backoff * random.uniform(0.5, 1)  # noqa: S311 - not for secrets
        return min(jittered, self._deadline - now) if self._options.hold else jittered

    def left(self, now: float) -> float:
        """Return the seconds that are left of the hold."""
        return self._deadline - now

    @property
    def deadline(self) -> float | None:
        """When the hold is over; None: there is none, just one round of dials."""
        return self._deadline if self._options.hold else None

    def over(self, now: float) -> bool:
        """Whether the hold is over; without one there is a single round of dials."""
        return now >= self._deadline and (self._tried or self._options.hold > 0)
