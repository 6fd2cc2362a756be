"""The settings of the gateway that the drill needs."""

from __future__ import annotations

from dataclasses import dataclass, field

from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.config.limit_options import LimitOptions

_ALLOWANCE = 0.1


@dataclass(frozen=True)
class Settings:
    """Settings of the drilled sessions, durations in seconds; see the configuration.

    Attributes:
        failover: `failover.enabled`.
        at_most_once: whether `failover.delivery` is `at-most-once`.
        moves_told, ahead: see PlayedBackend.
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
        """The maximum seconds until wsgw detects a silent backend, with an allowance."""
        return self.ack_interval + self.ping_timeout + _ALLOWANCE
