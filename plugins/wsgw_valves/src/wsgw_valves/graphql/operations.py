"""The open operations of one session."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakMethod

from wsgw_core.api import Clock, Message, ReplyExpected, Session

from ..session_memory import MemoryExceeded, SessionMemory
from .operation import Fate, Operation
from .settings import GraphqlSettings

_NEVER = 366 * 86400.0  # seconds; a quiet subscription counts as answered long before


class Operations:
    """Remembers each `subscribe` until one side ends its operation.

    Args:
        session: the session.
        settings: the limits.
        memory: the session's.
        clock: for time and timers.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_is_watching",
        "_memory",
        "_open",
        "_quiet",
        "_replayed_at",
        "_session",
        "_settings",
    )

    def __init__(
        self,
        session: Session,
        settings: GraphqlSettings,
        memory: SessionMemory,
        clock: Clock,
    ) -> None:
        self._session = session
        self._settings = settings
        self._memory = memory
        self._clock = clock
        self._open: dict[bytes, Operation] = {}
        self._quiet: dict[bytes, Operation] = {}  # subscriptions without a result so far
        self._replayed_at = float("-inf")
        self._is_watching = False

    def begin(self, id_: bytes, message: Message) -> Message:
        """Adds an operation; returns the message to send for its `subscribe`.

        Raises:
            MemoryExceeded: there are too many operations, or no memory.
        """
        if not id_ or id_ in self._open:
            return message  # the backend closes for an invalid id
        if len(self._open) >= self._settings.max_operations:
            raise MemoryExceeded(f"more than {self._settings.max_operations} open operations")
        self._memory.take(message.size)
        operation = Operation(message, self._clock.time(), self._settings.max_size)
        self._open[id_] = operation
        expires = self._settings.expires
        if operation.is_subscription:
            expires = _NEVER
            self._quiet[id_] = operation
            self._watch(self._settings.quiet_after)
        return ReplyExpected(message.kind, message.data, id_, expires)

    def note_result(self, id_: bytes, data: bytes) -> None:
        """Handles a `next`."""
        operation = self._open.get(id_)
        if operation is not None:
            operation.note_result(data)
            if not operation.is_answered:
                self._answered(id_, operation)

    def end(self, id_: bytes) -> None:
        """Removes an operation that one side has ended."""
        operation = self._open.pop(id_, None)
        if operation is not None:
            self._memory.free(operation.message.size)
            if not operation.is_answered:
                self._answered(id_, operation)

    def replay(self) -> None:
        """Called when unanswered operations are sent again, which takes a while."""
        self._replayed_at = self._clock.time()
        if self._quiet:
            self._watch(self._settings.quiet_after)

    def with_fate(self, *fates: Fate) -> Iterator[tuple[bytes, Operation]]:
        """Yields the operations with one of these fates, the oldest first."""
        return ((id_, each) for id_, each in self._open.items() if each.fate in fates)

    def _answered(self, id_: bytes, operation: Operation) -> None:
        operation.is_answered = True
        self._quiet.pop(id_, None)
        self._session.answered(id_)

    def _watch(self, after: float) -> None:
        """Schedules the check for quiet subscriptions that have had the time to begin."""
        if not self._is_watching:
            self._is_watching = True
            # A valve is not told the end of its session, so the timer must not keep it alive.
            settle_quiet = WeakMethod(self._settle_quiet)
            self._clock.call_later(after, lambda: (settle := settle_quiet()) and settle())

    def _settle_quiet(self) -> None:
        """Marks subscriptions as answered that have had the time to begin.

        They have no answer of their own. If one has not begun and fails later, its `error` removes
        it. So an early mark does no harm, if a server has the subscription.
        """
        self._is_watching = False
        if self._session.backend_id is None:
            return  # `replay` schedules again, unless the session has ended
        now = self._clock.time()
        for id_, operation in tuple(self._quiet.items()):
            since = max(operation.sent_at, self._replayed_at)
            left = since + self._settings.quiet_after - now
            if left > 0:
                self._watch(left)
                return
            self._answered(id_, operation)
