"""Publishes events of sessions, which survive a loss of the connection."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from .acknowledgement import Rejection
from .envelope import Event
from .metrics import NatsMetrics
from .nats_link import NatsLink

_MOST = 10_000


class EventOutbox:
    """Keeps each event until JetStream has stored it, and publishes it on each new link.

    It keeps at most 10,000 events; above that it drops the oldest.

    Args:
        metrics: the backend's.
        on_rejected: called when JetStream refuses an event, which stays; None: drop the event.
    """

    def __init__(
        self, metrics: NatsMetrics, on_rejected: Callable[[Rejection], object] | None
    ) -> None:
        self._metrics = metrics
        self._on_rejected = on_rejected
        self._link: NatsLink | None = None
        self._numbers = count(1)
        self._events: dict[int, Event] = {}

    def __len__(self) -> int:
        """The number of events that wait."""
        return len(self._events)

    def publish(self, event: Event) -> None:
        """Publishes an event, after earlier ones."""
        number = next(self._numbers)
        self._events[number] = event
        if len(self._events) > _MOST:
            self._drop(next(iter(self._events)))
        if self._link is not None:
            self._send(self._link, number, event)

    def use(self, link: NatsLink) -> None:
        """Publishes the waiting events, and further ones, on a new link."""
        self._link = link
        for number, event in tuple(self._events.items()):
            self._send(link, number, event)

    def confirmed(self, number: int) -> None:
        """See Publisher."""
        self._events.pop(number, None)

    def rejected(self, number: int, rejection: Rejection) -> None:
        """See Publisher."""
        if self._on_rejected is not None and not rejection.is_of_message:
            self._on_rejected(rejection)
        else:
            self._drop(number)

    def _drop(self, number: int) -> None:
        if self._events.pop(number, None) is not None:
            self._metrics.events_lost.value += 1

    def _send(self, link: NatsLink, number: int, event: Event) -> None:
        if len(event.data) > link.largest:  # the server would close the shared connection
            self._drop(number)
            return
        link.publish(self, number, event.subject, event.data, event.headers)
