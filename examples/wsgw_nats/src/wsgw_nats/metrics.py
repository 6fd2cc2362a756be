"""The metrics of a backend."""

from __future__ import annotations

from wsgw_core.api import Metrics


class NatsMetrics:
    """The metrics of one backend.

    Args:
        metrics: the context's.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.published = metrics.counter(
            "published", "Messages and events published to NATS, by type.", "type"
        )
        self.acknowledgements = metrics.counter(
            "acknowledgements", "Answers of JetStream, by outcome.", "outcome"
        )
        self.publish_seconds = metrics.histogram(
            "publish_seconds", "Seconds until JetStream acknowledged a message."
        )
        self.replies = metrics.counter("replies", "Replies of workers, by outcome.", "outcome")
        self.events_lost = metrics.counter(
            "events_lost", "Events lost because too many waited or JetStream refused them."
        )
