"""What a session still owes its backend."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from itertools import islice

from ..api import Message, ReplyExpected


class Ledger:
    """Keeps each message until it is delivered, in order; so it can be sent again.

    `sent` of the messages in `entries`, counted from the oldest, were given to the connection of
    now. Behind them are those that wait for a connection. Messages that the connection has
    acknowledged but the application must still answer are kept aside; they are older than all
    others.

    Args:
        max_messages, max_bytes: from here on the ledger is full, and the client is not read.
    """

    __slots__ = (
        "_answered_early",
        "_awaiting_reply",
        "_max_bytes",
        "_max_messages",
        "_seen",
        "bytes",
        "entries",
        "sent",
    )

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self.entries: deque[Message] = deque()
        self.bytes = 0
        self.sent = 0
        self._seen = 0
        # handle -> message and when it expires; None while no valve waits for replies
        self._awaiting_reply: dict[Hashable, tuple[ReplyExpected, float]] | None = None
        self._answered_early: set[Hashable] | None = None

    def __len__(self) -> int:
        return len(self.entries) + len(self._awaiting_reply or ())

    @property
    def full(self) -> bool:
        """Whether the client must not be read for now."""
        return self.bytes >= self._max_bytes or len(self) >= self._max_messages

    @property
    def roomy(self) -> bool:
        """Whether a client that was not read can be read again."""
        return self.bytes <= self._max_bytes // 2 and len(self) <= self._max_messages // 2

    @property
    def seen(self) -> int:
        """Messages that an earlier backend may have seen and the next one gets again."""
        return max(self._seen, self.sent) + len(self._awaiting_reply or ())

    def add(self, message: Message) -> None:
        """Take a message that is now owed."""
        self.entries.append(message)
        self.bytes += len(message.data)

    def unsent(self) -> Iterator[Message]:
        """Give the messages that the connection of now has not been given, and count them sent."""
        waiting = list(islice(self.entries, self.sent, None))
        self.sent = len(self.entries)
        return iter(waiting)

    def delivered(self, count: int, now: float) -> int:
        """Forget the oldest `count` messages that were sent; return how many there were.

        Args:
            count: as reported by the connection.
            now: the clock's time, for the expiry of replies.
        """
        count = min(count, self.sent)
        popleft = self.entries.popleft
        for _ in range(count):
            message = popleft()
            if isinstance(message, ReplyExpected) and not self._was_answered(message.handle):
                if self._awaiting_reply is None:
                    self._awaiting_reply = {}
                self._awaiting_reply[message.handle] = (message, now + message.expires)
            else:
                self.bytes -= len(message.data)
        self.sent -= count
        self._seen = max(0, self._seen - count)
        return count

    def answered(self, handle: Hashable) -> None:
        """Forget the message that the application has answered."""
        if self._awaiting_reply and handle in self._awaiting_reply:
            message, _ = self._awaiting_reply.pop(handle)
            self.bytes -= len(message.data)
        elif any(
            isinstance(message, ReplyExpected) and message.handle == handle
            for message in self.entries
        ):
            if self._answered_early is None:
                self._answered_early = set()
            self._answered_early.add(handle)

    def expire(self, now: float) -> int:
        """Forget messages whose reply is overdue; return how many there were."""
        if not self._awaiting_reply:
            return 0
        overdue = [key for key, (_, expires) in self._awaiting_reply.items() if expires <= now]
        for handle in overdue:
            self.answered(handle)
        return len(overdue)

    def rewind(self) -> None:
        """Note that the connection is gone: all that is left must be sent again."""
        self._seen = self.seen
        if self._awaiting_reply:
            self.entries.extendleft(
                message for message, _ in reversed(self._awaiting_reply.values())
            )
            self._awaiting_reply = None
        if self._answered_early:
            early, self._answered_early = self._answered_early, None
            kept = [
                message
                for message in self.entries
                if not (isinstance(message, ReplyExpected) and message.handle in early)
            ]
            self._seen -= len(self.entries) - len(kept)
            self.entries = deque(kept)
            self.bytes = sum(len(message.data) for message in kept)
        self.sent = 0

    def _was_answered(self, handle: Hashable) -> bool:
        if self._answered_early and handle in self._answered_early:
            self._answered_early.discard(handle)
            return True
        return False
