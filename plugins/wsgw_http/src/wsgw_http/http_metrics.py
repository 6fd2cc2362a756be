"""What a backend of this kind counts."""

from __future__ import annotations

from typing import Literal

from wsgw_core.api import BackendContext

from .request_headers import Event

Outcome = Literal["ok", "verdict", "retry", "unavailable", "bad_answer"]


class HttpMetrics:
    """Counters of one backend; gauges belong to those who know the numbers.

    Args:
        context: the backend's.

    Attributes:
        requests: by event and outcome.
        durations: seconds until answers were complete.
        discarded: messages that the application did not want.
        disconnects_lost: disconnect events that were given up.
        states_ignored: states that could not be kept.
        streams_ended: event streams ended to make room for others.
    """

    def __init__(self, context: BackendContext) -> None:
        counter = context.metrics.counter
        self.requests = counter(
            "requests", "Requests to the application, by what came of them.", "event", "outcome"
        )
        self.durations = context.metrics.histogram(
            "request_duration_seconds",
            "Time until an answer was complete, waiting for a connection included.",
        )
        self.discarded = counter("discarded", "Messages that the application did not want.")
        self.disconnects_lost = counter("disconnects_lost", "Disconnect events given up.")
        self.states_ignored = counter(
            "states_ignored", "States of sessions that were too large, or no text, to be kept."
        )
        self.streams_ended = counter(
            "streams_ended", "Event streams that were ended to make room for others."
        )

    def count(self, event: Event, outcome: Outcome) -> None:
        """Count one request."""
        self.requests.labels(event, outcome).value += 1
