"""The metrics of a backend."""

from __future__ import annotations

from collections.abc import Callable

from wsgw_core.api import Metrics


class AmqpMetrics:
    """The counters, gauges and histograms of one backend.

    Args:
        metrics: the backend's.
        is_up: whether there is a link.
        is_blocked: whether the broker takes no messages.
        unconfirmed: number of messages without a confirm.
        unacknowledged: number of replies without an acknowledgement.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        is_up: Callable[[], bool],
        is_blocked: Callable[[], bool],
        unconfirmed: Callable[[], int],
        unacknowledged: Callable[[], int],
    ) -> None:
        metrics.gauge("up", "Whether the gateway is connected to the broker.", is_up)
        metrics.gauge(
            "blocked", "Whether the broker blocks the connection that publishes.", is_blocked
        )
        metrics.gauge("unconfirmed", "Messages that the broker has not confirmed yet.", unconfirmed)
        metrics.gauge("unacknowledged", "Replies that are not acknowledged yet.", unacknowledged)
        self.published = metrics.counter("published", "Messages and events published.")
        self.confirm_duration = metrics.histogram(
            "confirm_duration_seconds", "Seconds from the publish of a message to its confirm."
        )
        self.returned = metrics.counter(
            "returned", "Messages that the broker returned because they reach no queue."
        )
        self.nacked = metrics.counter("nacked", "Messages that the broker refused to store.")
        replies = metrics.counter("replies", "Replies from the broker.", "redelivered")
        self.replies = (replies.labels("false"), replies.labels("true"))
        self.replies_dead = metrics.counter(
            "replies_dead", "Replies that no client got: dead letters.", "why"
        )
        self.reconnects = metrics.counter(
            "reconnects", "How often wsgw made the link to the broker again after a loss."
        )
        self.events_lost = metrics.counter(
            "events_lost", "Connect and disconnect events that reached no queue."
        )
