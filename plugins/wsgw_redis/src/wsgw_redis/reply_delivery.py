"""Gives replies to their sessions, wherever these are served."""

from __future__ import annotations

from collections.abc import Callable
from logging import ERROR

from wsgw_core.api import BackendContext, Message, RareWarning, ReplyOutcome

from .connection import RedisConnection
from .dead_letters import BUFFER, INVALID, UNKNOWN_SESSION, DeadLetters, Entry
from .measures import Measures
from .reply_entry import InvalidEntry, ReplyEntry

_WHY = {
    ReplyOutcome.UNKNOWN_SESSION: (UNKNOWN_SESSION, ""),
    ReplyOutcome.SLOW_CLIENT: (BUFFER, ""),
    ReplyOutcome.TOO_LARGE: (INVALID, "larger than limits.max-message-size"),
}


class ReplyDelivery:
    """Takes the entries of the reply stream.

    Args:
        context: of the backend.
        find: returns the connection of a session that this backend serves.
        dead_letters: get what nobody takes.
        measures: counts.

    Attributes:
        dead_letters: see above.
    """

    def __init__(
        self,
        context: BackendContext,
        find: Callable[[str], RedisConnection | None],
        dead_letters: DeadLetters,
        measures: Measures,
    ) -> None:
        self._context = context
        self._find = find
        self.dead_letters = dead_letters
        self._measures = measures
        self._warn = RareWarning(context.logger)

    def take(self, entries: list[Entry]) -> None:
        """Passes replies on; what they make of the clients' sockets leaves in one write each."""
        batch = self._context.read_batch
        batch.is_open = True
        try:
            for entry in entries:
                try:
                    self._take(entry)
                except Exception as error:  # noqa: BLE001 - it must not keep others from theirs
                    self._warn("a reply cannot be passed on", level=ERROR, exc_info=error)
                    self.dead_letters.add(entry, INVALID, f"fault: {type(error).__name__}")
        finally:
            batch.close()

    def passed_on(self, _entry: Entry | None) -> None:
        """Notes that a reply that was held is with its client."""
        self._measures.replies.value += 1

    def not_taken(self, entry: Entry | None) -> None:
        """Notes that a reply that was held was in vain; None: it came from a channel."""
        if entry is None:
            self._measures.dead.labels(BUFFER).value += 1
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
            self._measures.replies.value += 1
        elif outcome is not ReplyOutcome.HELD:
            self.dead_letters.add(entry, *_WHY[outcome])
            return False
        return True
