"""The metrics of a backend."""

from __future__ import annotations

from collections.abc import Callable

from wsgw_core.api import BackendContext

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class RedisMetrics:
    """The metrics of one backend, for all its parts.

    Args:
        context: the backend's.

    Attributes:
        added: messages and events that Redis has stored.
        durations: seconds from the write of a batch to its last answer.
        batch_sizes: commands of each write.
        in_flight: messages that Redis has not answered yet.
        refused: commands that Redis answered with an error, by its first word.
        replies: replies that a session took.
        dead: replies that no session took, by reason.
        letters_lost: dead letters that Redis never stored.
        reconnects: connections made again after a loss.
        rereads: how often the reply stream had gone back, as after a failover to a late replica.
        to_nobody: published messages without a subscriber.
        disconnects_lost: disconnect events that Redis never stored.
        lag: age of the last reply when it was read, in seconds.
    """

    def __init__(self, context: BackendContext) -> None:
        metrics = context.metrics
        self.added = metrics.counter("added", "Messages and events that Redis has stored.")
        self.durations = metrics.histogram(
            "add_duration_seconds", "Seconds from the write of a batch to its last answer."
        )
        self.batch_sizes = metrics.histogram(
            "batch_size", "Messages and events in one write.", bounds=tuple(map(float, _SIZES))
        )
        self.in_flight = 0
        metrics.gauge("in_flight", "Messages and events in flight.", lambda: self.in_flight)
        self.refused = metrics.counter(
            "refused", "Commands that Redis answered with an error.", "error"
        )
        self.replies = metrics.counter("replies", "Replies that a client's connection took.")
        self.dead = metrics.counter("replies_dead", "Replies that no client got.", "why")
        self.letters_lost = metrics.counter(
            "dead_letters_lost", "Dead letters dropped because Redis did not store them."
        )
        self.reconnects = metrics.counter(
            "reconnects", "Connections to Redis made again after a loss."
        )
        self.rereads = metrics.counter(
            "reply_stream_went_back",
            "How often the reply stream had lost entries, as after a failover to a late replica.",
        )
        self.to_nobody = metrics.counter(
            "published_to_nobody", "Published messages without a subscriber."
        )
        self.disconnects_lost = metrics.counter(
            "disconnects_lost", "Disconnect events that Redis did not store."
        )
        self.lag = 0.0
        metrics.gauge(
            "reply_lag_seconds", "Age of the last reply when wsgw read it.", lambda: self.lag
        )
        self._gauge = metrics.gauge

    def show(self, is_up: Callable[[], bool], subscriptions: Callable[[], int]) -> None:
        """Registers the gauges whose values the backend knows.

        Args:
            is_up: whether there is a connection that takes messages.
            subscriptions: number of subscribed channels and patterns.
        """
        self._gauge("up", "Whether Redis takes messages.", lambda: float(is_up()))
        self._gauge("subscriptions", "Subscribed channels and patterns.", subscriptions)
