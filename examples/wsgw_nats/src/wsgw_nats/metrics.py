"""What is counted."""

from __future__ import annotations

from wsgw_core.api import Metrics


class NatsMetrics:
    """The metrics of one backend.

    Args:
        metrics: of its context.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.published = metrics.counter(
            "published", "Messages and events given to NATS, by their type.", "type"
        )
        self.acknowledgements = metrics.counter(
            "acknowledgements", "What JetStream has answered, by what it said.", "outcome"
        )
        self.publish_seconds = metrics.histogram(
            "publish_seconds", "Time until JetStream acknowledged a message."
        )
        self.replies = metrics.counter("replies", "Replies of workers, by their fate.", "outcome")
        self.events_lost = metrics.counter(
            "events_lost", "Events that no worker will see: too many waited, or JetStream refused."
        )
