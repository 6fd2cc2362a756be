"""What happens when a backend is lost."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from ..api import Duration, Options


class FailoverOptions(Options):
    """What happens when a backend is lost."""

    enabled: bool = True
    hold: Duration = Field(
        default=30.0, ge=0, description="how long a client is kept without a backend"
    )
    stable: Duration = Field(
        default=1.0, ge=0, description="how long a new connection must last to end a failover"
    )
    dial_timeout: Duration = Field(default=10.0, gt=0, description="bound of one dial")
    hedge_after: Duration = Field(
        default=2.0,
        ge=0,
        description="how long a backend may answer no dial until another one is dialled as well for"
        " a client that waits; 0: never, and dials without an answer give no way to others",
    )
    max_concurrent_dials: int = Field(
        default=100,
        gt=0,
        description="dials of one backend at once, those for new clients included; the rest wait"
        " for their turn",
    )
    dial_spacing: Duration = Field(
        default=0.01,
        ge=0,
        description="how long, on average, a dial that is over makes the next one wait, if there is"
        " one that waits",
    )
    backoff: Duration = Field(
        default=0.05, gt=0, description="pause after a failed round of dials, at first"
    )
    max_backoff: Duration = Field(
        default=1.0, gt=0, description="pause after a failed round, at most"
    )
    ping_timeout: Duration = Field(
        default=5.0, gt=0, description="how long a liveness check may stay unanswered"
    )
    busy_timeout: Duration = Field(
        default=60.0,
        ge=0,
        description="how long a connection may be silent while its backend lives, as when the"
        " application works on a message and reads no further; 0: no longer than `ping-timeout`",
    )
    retry_statuses: tuple[int, ...] = Field(
        default=(408, 421, 425, 429),
        description="answers during a failover that make another backend be tried",
    )
    delivery: Literal["at-least-once", "at-most-once"] = Field(
        default="at-least-once",
        description="whether what a lost backend had not acknowledged is sent to the next one, or"
        " given up and counted",
    )
    max_replays: int = Field(
        default=3,
        ge=1,
        description="a session ends with 1011 when so many backends were lost while the same"
        " message was alone under way, after it had been among others at three losses",
    )

    @property
    def dial_bounds(self) -> tuple[int, float, float]:
        """Slots, spacing and patience of each backend's DialGate."""
        return self.max_concurrent_dials, self.dial_spacing, self.hedge_after or math.inf

    @property
    def busy_bound(self) -> float:
        """How long a connection may be silent whose backend lives; not less than the others."""
        return max(self.busy_timeout, self.ping_timeout)
