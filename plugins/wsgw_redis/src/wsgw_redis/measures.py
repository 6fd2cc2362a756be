"""The numbers for operators."""

from __future__ import annotations

from collections.abc import Callable

from wsgw_core.api import BackendContext

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Measures:
    """The metrics of one backend that several parts count in.

    Args:
        context: the backend's.

    Attributes:
        added: messages and events that Redis has.
        durations: seconds from the write of a batch to its last answer.
        batch_sizes: commands of each write.
        in_flight: messages that Redis has not answered yet.
        refused: commands that Redis answered with an error, by its first word.
        replies: replies that a session took.
        dead: replies that no session took, by reason.
        letters_lost: dead letters that Redis never got.
        reconnects: connections that were made anew after a loss.
        rereads: reply streams that had gone back, as after a failover to a replica behind.
        to_nobody: messages that were published and reached no subscriber.
        disconnects_lost: disconnect events that Redis never got.
        lag: of the last reply, in seconds.
    """

    def __init__(self, context: BackendContext) -> None:
        metrics = context.metrics
        self.added = metrics.counter("added", "Messages and events that Redis has stored.")
        self.durations = metrics.histogram(
            "add_duration_seconds", "Time from writing a batch to the last answer to it."
        )
        self.batch_sizes = metrics.histogram(
            "batch_size", "Messages and events of one write.", bounds=tuple(map(float, _SIZES))
        )
        self.in_flight = 0
        metrics.gauge("in_flight", "Messages and events without an answer.", lambda: self.in_flight)
        self.refused = metrics.counter(
            "refused", "Commands that Redis answered with an error.", "error"
        )
        self.replies = metrics.counter("replies", "Replies that a client's connection took.")
        self.dead = metrics.counter("replies_dead", "Replies that no client got.", "why")
        self.letters_lost = metrics.counter(
            "dead_letters_lost", "Dead letters that were dropped, since Redis took none."
        )
        self.reconnects = metrics.counter(
            "reconnects", "Connections to Redis that were made anew after a loss."
        )
        self.rereads = metrics.counter(
            "reply_stream_went_back",
            "Times that the reply stream had lost entries when it was read on.",
        )
        self.to_nobody = metrics.counter(
            "published_to_nobody", "Messages that were published and reached no subscriber."
        )
        self.disconnects_lost = metrics.counter(
            "disconnects_lost", "Disconnect events that Redis did not get."
        )
        self.lag = 0.0
        metrics.gauge(
            "reply_lag_seconds", "Age of the last reply when it was read.", lambda: self.lag
        )
        self._gauge = metrics.gauge

    def show(self, is_up: Callable[[], bool], subscriptions: Callable[[], int]) -> None:
        """Shows what the backend knows.

        Args:
            is_up: whether there is a connection that takes messages.
            subscriptions: channels and patterns that are subscribed to.
        """
        self._gauge("up", "Whether Redis takes messages.", lambda: float(is_up()))
        self._gauge("subscriptions", "Channels and patterns that are subscribed to.", subscriptions)
