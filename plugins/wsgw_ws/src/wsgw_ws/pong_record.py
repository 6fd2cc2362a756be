"""Whether a backend answers pings at all."""

from __future__ import annotations

from typing import Literal

from wsgw_core.api import BackendContext

WithoutPongs = Literal["refuse", "acknowledge-on-write"]

_DEATHS = 2  # connections that were silent to their end: one alone may have been frozen
_REFUSAL = 10.0  # seconds until it is tried again


class PongRecord:
    """What all connections of one backend know of its pongs.

    A backend that has never sent one breaks RFC 6455 (section 5.5.2), and nothing it receives can
    be acknowledged.

    Args:
        then: what becomes of such a backend.
        context: the backend's.

    Attributes:
        acknowledge_on_write: whether its connections do without pongs for now.
        released_early: counts messages; see Acknowledgement.
    """

    def __init__(self, then: WithoutPongs, context: BackendContext) -> None:
        self._then = then
        self._logger = context.logger
        self._clock = context.clock
        self._counter = context.metrics.counter(
            "missing_pongs", "Times a backend was found to answer no pings."
        )
        self.released_early = context.metrics.counter(
            "replay_window_cuts",
            "Messages forgotten before their replay window was over, for want of room.",
        )
        self._ponged = False
        self._deaths = 0
        self._refused_until = float("-inf")
        self.acknowledge_on_write = False

    @property
    def is_doubtful(self) -> bool:
        """Whether no pong has ever come."""
        return not self._ponged

    @property
    def refused(self) -> bool:
        """Whether the backend is not to be used for now."""
        return self._clock.time() < self._refused_until

    def ponged(self) -> None:
        """Note a pong."""
        self._ponged = True
        self.acknowledge_on_write = False

    def missing(self, *, alive: bool) -> bool:
        """Note a connection whose first ping was not answered; return whether to go on with it.

        Args:
            alive: whether something else has come meanwhile.
        """
        self._deaths += not alive
        if not alive and self._deaths < _DEATHS:
            return False
        self._counter.value += 1
        self.acknowledge_on_write = self._then == "acknowledge-on-write"
        consequence = "what is written to it counts as acknowledged"
        if not self.acknowledge_on_write:
            self._refused_until = self._clock.time() + _REFUSAL
            consequence = f"it is not used for {_REFUSAL:g} s"
        self._logger.warning("the backend answers no pings (RFC 6455, 5.5.2): %s", consequence)
        return self.acknowledge_on_write
