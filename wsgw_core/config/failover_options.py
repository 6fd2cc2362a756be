"""What happens when a backend is lost."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, field_validator

from ..api import CloseCode, Duration, Options
from ..websocket.session_ends import BACKEND_LOST_WITHOUT_FAILOVER


class FailoverOptions(Options):
    """What happens when a backend is lost."""

    enabled: bool = True
    loss_code: int = Field(
        default=BACKEND_LOST_WITHOUT_FAILOVER.client,
        description="close code for the clients of a lost backend if `enabled` is false; if the"
        " backend has sent a close code itself, its client gets that code",
    )
    hold: Duration = Field(
        default=30.0,
        ge=0,
        description="keep a client without a backend for this long, then close it with 1013",
    )
    stable: Duration = Field(
        default=1.0, ge=0, description="a new connection must last this long to end a failover"
    )
    hydration_timeout: Duration = Field(
        default=5.0,
        gt=0,
        description="if a new backend answers a step of a valve's hydration later than this, it"
        " counts as lost",
    )
    dial_timeout: Duration = Field(default=10.0, gt=0, description="maximum time of one dial")
    search_timeout: Duration = Field(
        default=30.0,
        gt=0,
        description="maximum time of all dials for a new client, which then gets 504; also of a"
        " failover without `hold`",
    )
    hedge_after: Duration = Field(
        default=2.0,
        ge=0,
        description="if a backend answers no dial for this long, dial another one in parallel for a"
        " client that waits. 0: never, and a dial without an answer is not given up for another",
    )
    max_concurrent_dials: int = Field(
        default=100,
        gt=0,
        description="maximum dials to one backend at once, including those for new clients; the"
        " rest wait for their turn",
    )
    dial_spacing: Duration = Field(
        default=0.01,
        ge=0,
        description="average time that each finished dial delays the next waiting dial to the same"
        " backend",
    )
    backoff: Duration = Field(
        default=0.05, gt=0, description="pause after the first round of dials without success"
    )
    max_backoff: Duration = Field(
        default=1.0, gt=0, description="maximum pause after a round without success"
    )
    scout_interval: Duration = Field(
        default=0.1,
        gt=0,
        description="how often one of the waiting clients checks whether a backend that is away is"
        " back",
    )
    ping_timeout: Duration = Field(
        default=5.0,
        gt=0,
        description="a backend that is silent as a whole for this long counts as lost",
    )
    busy_timeout: Duration = Field(
        default=60.0,
        ge=0,
        description="maximum silence of a connection while its backend lives, for example while the"
        " application works on a message and does not read; 0: `ping-timeout`",
    )
    retry_statuses: tuple[int, ...] = Field(
        default=(408, 421, 425, 429),
        description="HTTP statuses during a failover after which the next backend is tried",
    )
    delivery: Literal["at-least-once", "at-most-once"] = Field(
        default="at-least-once",
        description="what happens to messages that a lost backend had not acknowledged: the next"
        " backend gets them again, or they are dropped and counted",
    )
    max_replays: int = Field(
        default=3,
        ge=1,
        description="close a session with 1011 after this many backends died while the same message"
        " was the only one in flight; before that, three die with other messages in flight. The"
        " same holds for hydrations",
    )

    @field_validator("loss_code")
    @classmethod
    def _can_be_sent(cls, code: int) -> int:
        if not CloseCode.may_be_sent(code):
            raise ValueError("this close code must not be sent; see RFC 6455, section 7.4")
        return code

    @property
    def search_dial_timeout(self) -> float:
        """Maximum time of one dial in a search that `search_timeout` bounds."""
        return min(self.dial_timeout, self.search_timeout)

    @property
    def dial_bounds(self) -> tuple[int, float, float]:
        """Slots, spacing and `slow_after` of each backend's DialLimiter."""
        return self.max_concurrent_dials, self.dial_spacing, self.hedge_after or math.inf

    @property
    def busy_bound(self) -> float:
        """Maximum silence of a connection whose backend lives: at least `ping_timeout`."""
        return max(self.busy_timeout, self.ping_timeout)
