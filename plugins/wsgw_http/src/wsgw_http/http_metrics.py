"""The metrics of a backend."""

from __future__ import annotations

from typing import Literal

from wsgw_core.api import BackendContext

from .request_headers import Event

Outcome = Literal["ok", "verdict", "retry", "unavailable", "bad_answer"]


class HttpMetrics:
    """The counters of one backend. Parts that know a number register its gauge themselves.

    Args:
        context: the backend's.

    Attributes:
        requests: by event and outcome.
        durations: seconds until answers were complete.
        discarded: messages that the application rejected.
        disconnects_lost: disconnect events that the application did not get.
        states_ignored: states that could not be kept.
        streams_ended: event streams that wsgw ended to make room for others.
    """

    def __init__(self, context: BackendContext) -> None:
        counter = context.metrics.counter
        self.requests = counter(
            "requests", "Requests to the application, by event and outcome.", "event", "outcome"
        )
        self.durations = context.metrics.histogram(
            "request_duration_seconds",
            "Seconds until an answer was complete, including the wait for a connection.",
        )
        self.discarded = counter(
            "discarded", "Messages discarded because the application rejected them."
        )
        self.disconnects_lost = counter(
            "disconnects_lost", "Disconnect events that the application did not get."
        )
        self.states_ignored = counter(
            "states_ignored", "Session states ignored because they are too large or not valid text."
        )
        self.streams_ended = counter(
            "streams_ended", "Event streams that wsgw ended to make room for others."
        )

    def count(self, event: Event, outcome: Outcome) -> None:
        """Counts one request."""
        self.requests.labels(event, outcome).value += 1
