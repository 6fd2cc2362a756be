"""Whether a backend answers pings at all."""

from __future__ import annotations

from typing import Literal

from wsgw_core.api import BackendContext

WithoutPongs = Literal["refuse", "acknowledge-on-write"]

_SILENT_ONES = 2  # connections: the application of one alone may have been at work
_REFUSAL = 10.0  # seconds until it is tried again
_ANSWERS = 10  # that show that a backend reads
_DOUBTS = 3  # times the ping timeout, with so many answers


class PongRecord:
    """What all connections of one backend know of its pongs.

    A backend that has never sent one breaks RFC 6455 (section 5.5.2), and nothing it receives can
    be acknowledged. One that is late is something else: its application may be at work and not
    read. So each connection begins with a ping while no pong has ever come, before there is any
    work to do; and the backend is judged by what it does behind that ping (see FirstPing).

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
        self._ping_timeout = context.ping_timeout
        self._busy_timeout = context.busy_timeout
        self._counter = context.metrics.counter(
            "missing_pongs", "Times a backend was found to answer no pings."
        )
        self.released_early = context.metrics.counter(
            "replay_window_cuts",
            "Messages forgotten before their replay window was over, for want of room.",
        )
        self._ponged = False
        self._silent_ones = 0
        self._found = False
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
        self._refused_until = float("-inf")
        self.acknowledge_on_write = False

    def is_evident(self, first_ping: FirstPing, now: float, *, talks: bool) -> bool:
        """Whether a connection shows that the backend answers no pings, rather than late.

        Args:
            first_ping: unanswered.
            now: the clock's time.
            talks: whether something has come of late.
        """
        waited = now - first_ping.since
        if first_ping.answers >= _ANSWERS:
            return waited > self._ping_timeout * (1 if self._found else _DOUBTS)
        return talks and waited > self._busy_timeout

    def missing(self, *, alive: bool) -> bool:
        """Note a connection whose first ping was not answered; return whether to go on with it.

        Args:
            alive: whether something else has come on it meanwhile.
        """
        self._silent_ones += not alive
        if not alive and self._silent_ones < _SILENT_ONES:
            return False
        self._found = True
        self._counter.value += 1
        self.acknowledge_on_write = self._then == "acknowledge-on-write"
        consequence = "what is written to it counts as acknowledged"
        if not self.acknowledge_on_write:
            self._refused_until = self._clock.time() + _REFUSAL
            consequence = f"it is not used for {_REFUSAL:g} s"
        self._logger.warning("the backend answers no pings (RFC 6455, 5.5.2): %s", consequence)
        return self.acknowledge_on_write


class FirstPing:
    """What a backend does on one connection while its first ping is unanswered.

    An answer is a message of the backend behind messages of the client, counted once for each look
    at the connection. Many of them show that the application reads: one that only talks while it
    works has read nothing that would make it answer.

    Attributes:
        since: when the ping was sent, or the connection was last not read by us.
        answers: see above.
    """

    __slots__ = ("_sent", "answers", "since")

    def __init__(self, now: float) -> None:
        self.since = now
        self.answers = 0
        self._sent = 0

    def heard(self, sent: int) -> None:
        """Note a message of the backend; `sent` were given to it by then."""
        if sent != self._sent:
            self._sent = sent
            self.answers += 1
