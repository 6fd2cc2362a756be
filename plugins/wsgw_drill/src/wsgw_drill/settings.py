"""What the drill has to know of a gateway's settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.config.limit_options import LimitOptions

_ALLOWANCE = 0.1


@dataclass(frozen=True)
class Settings:
    """Those of the sessions that are drilled, durations in seconds; see the configuration.

    Attributes:
        failover: `failover.enabled`.
        at_most_once: whether this is `failover.delivery`.
        moves_told, ahead: of the played backends; see PlayedBackend.
        drain: `drain`.
        replies: whether a message counts as delivered only when it is answered.
        steered: whether the drill may call the gateway's admin API.
    """

    ping_timeout: float = FailoverOptions().ping_timeout
    ack_interval: float = 0.05
    replay_window: float = 0.25
    close_timeout: float = LimitOptions().close_timeout
    failover: bool = True
    at_most_once: bool = False
    moves_told: bool = True
    ahead: int | None = None
    drain: DrainOptions = field(default_factory=DrainOptions)
    replies: bool = False
    steered: bool = True

    @property
    def silence(self) -> float:
        """How long it may take until a silent backend is found out, and a little more."""
        return self.ack_interval + self.ping_timeout + _ALLOWANCE
