"""The open operations of one session, and what becomes of each at another backend."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakMethod

from wsgw_core.api import Clock, Message, ReplyExpected, Session

from ..session_memory import MemoryExceeded, SessionMemory
from .operation import Fate, Operation
from .settings import GraphqlSettings

_NEVER = 366 * 86400.0  # seconds; a quiet subscription is reported as answered long before


class Operations:
    """Remembers each `subscribe` until one side ends what it has begun.

    Args:
        session: whose operations they are.
        settings: bounds.
        memory: of the session.
        clock: time and timers.
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
        self._quiet: dict[bytes, Operation] = {}  # subscriptions without a message so far
        self._replayed_at = float("-inf")
        self._is_watching = False

    def begin(self, id_: bytes, message: Message) -> Message:
        """Return what is sent for a `subscribe`.

        Raises:
            MemoryExceeded: there are too many.
        """
        if not id_ or id_ in self._open:
            return message  # for which the backend closes
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
        """Take note of a `next`."""
        operation = self._open.get(id_)
        if operation is not None:
            operation.note_result(data)
            if not operation.is_answered:
                self._answered(id_, operation)

    def end(self, id_: bytes) -> None:
        """Forget an operation that one side has ended."""
        operation = self._open.pop(id_, None)
        if operation is not None:
            self._memory.free(operation.message.size)
            if not operation.is_answered:
                self._answered(id_, operation)

    def replay(self) -> None:
        """Note that those without an answer are sent again; that takes a while."""
        self._replayed_at = self._clock.time()
        if self._quiet:
            self._watch(self._settings.quiet_after)

    def with_fate(self, *fates: Fate) -> Iterator[tuple[bytes, Operation]]:
        """Iterate over those of which this becomes at another backend, the oldest first."""
        return ((id_, each) for id_, each in self._open.items() if each.fate in fates)

    def _answered(self, id_: bytes, operation: Operation) -> None:
        operation.is_answered = True
        self._quiet.pop(id_, None)
        self._session.answered(id_)

    def _watch(self, after: float) -> None:
        """Look after some seconds which subscriptions have had the time to begin."""
        if not self._is_watching:
            self._is_watching = True
            # Nothing tells a valve that its session is over: the timer must not keep it in memory.
            settle_quiet = WeakMethod(self._settle_quiet)
            self._clock.call_later(after, lambda: (settle := settle_quiet()) and settle())

    def _settle_quiet(self) -> None:
        """Report subscriptions as answered that have had the time to begin.

        They have no answer of their own. One that has not begun and fails later is forgotten by its
        `error`; so it does no harm to be too early, if only a server has been given it.
        """
        self._is_watching = False
        if self._session.backend_id is None:
            return  # until `replay`, if the session has not ended
        now = self._clock.time()
        for id_, operation in tuple(self._quiet.items()):
            since = max(operation.sent_at, self._replayed_at)
            left = since + self._settings.quiet_after - now
            if left > 0:
                self._watch(left)
                return
            self._answered(id_, operation)
