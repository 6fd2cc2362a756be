"""Tells workers of sessions; no event is lost with a connection to NATS."""

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

    It keeps 10,000; then the oldest is lost.

    Args:
        metrics: the backend's.
        on_rejected: called when JetStream refuses one, which then stays; None: it is lost.
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
        """How many wait."""
        return len(self._events)

    def publish(self, event: Event) -> None:
        """Publishes an event, behind those before it."""
        number = next(self._numbers)
        self._events[number] = event
        if len(self._events) > _MOST:
            self._drop(next(iter(self._events)))
        if self._link is not None:
            self._send(self._link, number, event)

    def use(self, link: NatsLink) -> None:
        """Publishes what waits on a link, and what comes from now on."""
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
        if len(event.data) > link.largest:  # the server would end the connection of all
            self._drop(number)
            return
        link.publish(self, number, event.subject, event.data, event.headers)
