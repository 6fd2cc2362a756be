"""Passes events on: to the log, and to all that follow them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .events import Event

FIELDS = ("session", "route", "backend", "reason")
"""What a log record has beside its text, as `extra`, where it is known."""


class EventStream:
    """The events of one gateway.

    Args:
        logger: each event has a line; `wsgw` by default.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("wsgw")
        self._followers: dict[object, Callable[[Event], object]] = {}

    def publish(self, event: Event) -> None:
        """Writes an event to the log, and pass it on; a follower's fault goes to the log."""
        if self._logger.isEnabledFor(event.level):
            fields = {field: getattr(event, field, None) for field in FIELDS}
            self._logger.log(event.level, "%s", event.text, extra=fields)
        for tell in tuple(self._followers.values()):
            try:
                tell(event)
            except Exception:
                self._logger.exception("an event follower raised an error")

    def follow(self, tell: Callable[[Event], object]) -> Callable[[], None]:
        """See Control."""
        key = object()
        self._followers[key] = tell

        def end() -> None:
            self._followers.pop(key, None)

        return end
