"""Finds out whether a backend answers pings at all."""

from __future__ import annotations

from typing import Literal

from wsgw_core.api import BackendContext

WithoutPongs = Literal["refuse", "acknowledge-on-write"]

_SILENT_ONES = 2  # connections; the application of a single one may have been busy
_REFUSAL = 10.0  # seconds until the backend is tried again
_ANSWERS = 10  # so many show that the backend reads
_DOUBTS = 3  # ping timeouts to wait with so many answers


class PongRecord:
    """Whether any connection of one backend has ever got a pong.

    A backend that never sends a pong breaks RFC 6455 (section 5.5.2), and wsgw cannot find out what
    it receives. A late pong is different: the application may be busy and not read. So while no
    pong has ever come, each connection begins with a ping, before the application has work to do;
    what the backend does after that ping decides (see FirstPing).

    Args:
        then: what to do with a backend that never sends pongs.
        context: the backend's context.

    Attributes:
        acknowledge_on_write: whether the connections do without pongs for now.
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
        """Whether the backend is not used for now."""
        return self._clock.time() < self._refused_until

    def ponged(self) -> None:
        """Records a pong."""
        self._ponged = True
        self._refused_until = float("-inf")
        self.acknowledge_on_write = False

    def is_evident(self, first_ping: FirstPing, now: float, *, talks: bool) -> bool:
        """Returns whether a connection shows that the backend never answers pings.

        Args:
            first_ping: the connection's first ping, which is unanswered.
            now: the clock's time.
            talks: whether messages came recently.
        """
        waited = now - first_ping.since
        if first_ping.answers >= _ANSWERS:
            return waited > self._ping_timeout * (1 if self._found else _DOUBTS)
        return talks and waited > self._busy_timeout

    def missing(self, *, alive: bool) -> bool:
        """Records a connection whose first ping was not answered; returns whether to keep it.

        Args:
            alive: whether messages came on the connection meanwhile.
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

    An answer is a message of the backend after messages of the client, counted once for each look
    at the connection. Many answers show that the application reads, because a busy application that
    only sends has read nothing to answer.

    Attributes:
        since: when the ping was sent, or when wsgw last did not read the connection.
        answers: the number of answers.
    """

    __slots__ = ("_sent", "answers", "since")

    def __init__(self, now: float) -> None:
        self.since = now
        self.answers = 0
        self._sent = 0

    def heard(self, sent: int) -> None:
        """Records a message of the backend; wsgw has sent it `sent` messages by then."""
        if sent != self._sent:
            self._sent = sent
            self.answers += 1
