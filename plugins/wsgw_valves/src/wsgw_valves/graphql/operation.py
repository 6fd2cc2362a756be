"""An open operation: neither side has ended it."""

from __future__ import annotations

from typing import Literal

from wsgw_core.api import Message

from .frame import read_object
from .operation_type import OperationType, operation_type

Fate = Literal["replayed", "hydrated", "completed", "failed"]


class Operation:
    """The operation of one `subscribe`.

    Args:
        message: the `subscribe`.
        now: the time by the clock.
        max_size: maximum bytes of a message to parse.

    Attributes:
        message: see above.
        sent_at: see `now`.
        is_answered: whether the backend has it, so that it is not replayed.
    """

    __slots__ = ("_max_size", "_results", "_type", "_wants_more", "is_answered", "message",
                 "sent_at")  # fmt: skip

    def __init__(self, message: Message, now: float, max_size: int) -> None:
        self.message = message
        self.sent_at = now
        self.is_answered = False
        self._max_size = max_size
        self._type = _type_of(message.data, max_size)
        self._results = 0
        self._wants_more = False  # the latest result announces a further one

    @property
    def is_subscription(self) -> bool:
        """Whether it lasts until one side ends it."""
        return self._type == "subscription"

    def note_result(self, data: bytes) -> None:
        """Handles a `next`."""
        self._results += 1
        if self._type == "subscription":
            return
        if b'"hasNext"' in data:  # a part, by @defer or @stream
            payload = read_object(data, self._max_size).get("payload")
            self._wants_more = not isinstance(payload, dict) or payload.get("hasNext") is not False
            self._type = self._type or "query"
        elif self._type is None and self._results > 1:
            self._type = "subscription"  # only subscriptions have several complete results

    @property
    def fate(self) -> Fate:
        """What happens to it at another backend."""
        if not self.is_answered:
            return "replayed"
        if self._type == "subscription":
            return "hydrated"
        return "failed" if self._type is None or self._wants_more else "completed"


def _type_of(data: bytes, max_size: int) -> OperationType | None:
    payload = read_object(data, max_size).get("payload")
    if not isinstance(payload, dict):
        return None
    document, name = payload.get("query"), payload.get("operationName")
    if not isinstance(document, str):
        return None  # a persisted document, which the backend knows by its hash
    return operation_type(document, name if isinstance(name, str) and name else None)
