"""Hold and backoff: how long and how often a session dials other backends."""

from __future__ import annotations

import random

from ...config.failover_options import FailoverOptions
from ...pool.backends.backend_pool import PooledBackend


class Failover:
    """The clock of one failover: from the loss of a backend until a connection lasts.

    A backend that accepts and drops connections does not end a failover, so neither hold nor
    backoff begins anew. If the backend has acknowledged messages before it drops, the hold begins
    anew, but the backoff goes on growing.

    Args:
        options: hold and backoff.
        now: the clock's time.
        lost: the lost backend.

    Attributes:
        last: the backend that was lost last.
        lost_at: the clock's time of that loss.
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
        self._tried = False  # a round of dials has failed
        self._progressed = False  # since the last loss
        self.last = lost

    def progressed(self, now: float) -> None:
        """Notes that the new backend has acknowledged messages: the hold begins anew."""
        self._deadline = now + self._options.hold
        self._progressed = True

    def lost_again(self, lost: PooledBackend, now: float) -> None:
        """Notes that the new backend was lost too."""
        self.last = lost
        self.lost_at = now
        self._tried = not self._progressed
        self._progressed = False
        self._wait_longer()

    def failed(self) -> None:
        """Notes that a round of dials has failed: the next round waits longer."""
        self._tried = True
        self._wait_longer()

    def _wait_longer(self) -> None:
        longer = self._backoff * 2 or self._options.backoff
        self._backoff = min(longer, self._options.max_backoff)

    def pause(self, now: float) -> float:
        """Returns the seconds to wait before the next round: jittered, within the hold if any."""
        if self.over(now):
            return 0.0
        jittered = self._backoff * random.uniform(0.5, 1)  # noqa: S311 - not for secrets
        return min(jittered, self._deadline - now) if self._options.hold else jittered

    def left(self, now: float) -> float:
        """Returns how many seconds of the hold are left."""
        return self._deadline - now

    @property
    def deadline(self) -> float | None:
        """The clock's time when the hold is over; None: no hold, only one round of dials."""
        return self._deadline if self._options.hold else None

    def over(self, now: float) -> bool:
        """Returns whether the hold is over; without a hold, whether the one round has failed."""
        return now >= self._deadline and (self._tried or self._options.hold > 0)
