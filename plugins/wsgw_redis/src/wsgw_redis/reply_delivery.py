"""Delivers replies to their sessions, also to those that another backend serves now."""

from __future__ import annotations

from collections.abc import Callable
from logging import ERROR

from wsgw_core.api import BackendContext, Message, RareWarning, ReplyOutcome

from .connection import RedisConnection
from .dead_letters import BUFFER, INVALID, UNKNOWN_SESSION, DeadLetters, Entry
from .metrics import RedisMetrics
from .reply_entry import InvalidEntry, ReplyEntry

_WHY = {
    ReplyOutcome.UNKNOWN_SESSION: (UNKNOWN_SESSION, ""),
    ReplyOutcome.SLOW_CLIENT: (BUFFER, ""),
    ReplyOutcome.TOO_LARGE: (INVALID, "larger than limits.max-message-size"),
}


class ReplyDelivery:
    """Delivers the entries of the reply stream.

    Args:
        context: the backend's.
        find: returns the connection of a session that this backend serves.
        dead_letters: stores replies that no session takes.
        metrics: the backend's.

    Attributes:
        dead_letters: see above.
    """

    def __init__(
        self,
        context: BackendContext,
        find: Callable[[str], RedisConnection | None],
        dead_letters: DeadLetters,
        metrics: RedisMetrics,
    ) -> None:
        self._context = context
        self._find = find
        self.dead_letters = dead_letters
        self._metrics = metrics
        self._warn = RareWarning(context.logger)

    def take(self, entries: list[Entry]) -> None:
        """Delivers replies; each client gets its replies in one write."""
        batch = self._context.read_batch
        batch.is_open = True
        try:
            for entry in entries:
                try:
                    self._take(entry)
                except Exception as error:  # noqa: BLE001 - other sessions get their replies
                    self._warn("a reply cannot be delivered", level=ERROR, exc_info=error)
                    self.dead_letters.add(entry, INVALID, f"fault: {type(error).__name__}")
        finally:
            batch.close()

    def passed_on(self, _entry: Entry | None) -> None:
        """See ReplyBuffers: a client has taken a buffered reply."""
        self._metrics.replies.value += 1

    def not_taken(self, entry: Entry | None) -> None:
        """See ReplyBuffers: no client takes a buffered reply; None: it came from a channel."""
        if entry is None:
            self._metrics.dead.labels(BUFFER).value += 1
        else:
            self.dead_letters.add(entry, BUFFER)

    def _take(self, entry: Entry) -> None:
        try:
            reply = ReplyEntry.parse(entry[1])
        except (InvalidEntry, TypeError) as error:  # a deleted entry has no fields
            self.dead_letters.add((entry[0], entry[1] or []), INVALID, str(error))
            return
        connection = self._find(reply.session_id)
        if reply.message is not None and not self._deliver(entry, reply.message, connection, reply):
            return
        if reply.close is None:
            return
        if connection is not None:
            connection.end(reply.close)
        else:
            self.dead_letters.add(entry, UNKNOWN_SESSION)

    def _deliver(
        self, entry: Entry, message: Message, connection: RedisConnection | None, reply: ReplyEntry
    ) -> bool:
        outcome = ReplyOutcome.UNKNOWN_SESSION
        if connection is not None:
            outcome = connection.receive(message, entry)
        if outcome is ReplyOutcome.UNKNOWN_SESSION:
            outcome = self._context.deliver(reply.session_id, message)
        if outcome is ReplyOutcome.TAKEN:
            self._metrics.replies.value += 1
        elif outcome is not ReplyOutcome.HELD:
            self.dead_letters.add(entry, *_WHY[outcome])
            return False
        return True
