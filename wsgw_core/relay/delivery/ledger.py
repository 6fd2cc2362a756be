"""The client's messages that no backend has acknowledged yet."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Hashable, Iterator
from itertools import chain, islice

from ...api import Goodbye, Message, ReplyExpected, SentOnce
from .awaited_replies import AwaitedReplies
from .early_answers import EarlyAnswers

_OBJECTS = 160  # bytes that a message needs besides its payload


class Ledger:
    """Keeps each message in order until it is delivered, so that it can be sent again.

    A message is in one of three places:

    - not given: the last of the `entries`, those that `ungiven` returns. The outbox keeps them
      while it sends nothing.
    - given: the other `entries`. The connection has them and has not acknowledged them.
    - awaiting its reply: acknowledged, but the application must still answer it. These messages
      are older than all entries.

    A message is *settled*, and forgotten, when it is acknowledged; one that expects a reply, when
    it is answered or its reply is overdue.

    Messages are numbered 1, 2, 3 and so on, in the order in which they were added. The entries'
    numbers have no gaps before the first failover. Then there are gaps where answers have come in
    another order, or where messages were to be sent once; `rewind` notes them.

    A message weighs its payload and a share for its bookkeeping, so one bound on the weight bounds
    both bytes and messages.

    Args:
        capacity: at this weight the ledger is full, and reading the client is paused.
        share: the weight of a message without payload.

    Attributes:
        entries, weight: `Outbox.transmit` adds each message to both, to save a call.
        settled_messages, settled_weight: of all messages that were settled.
        seen_up_to: the number of the last message that an earlier backend may have seen.
    """

    __slots__ = (
        "_awaiting_reply",
        "_early_answers",
        "_ends_with_goodbye",
        "_given",
        "_numbers",
        "capacity",
        "entries",
        "seen_up_to",
        "settled_messages",
        "settled_weight",
        "share",
        "weight",
    )

    def __init__(self, capacity: int, share: int) -> None:
        self.capacity = capacity
        self.share = share
        self.entries: deque[Message] = deque()
        self.weight = 0
        self.settled_messages = 0
        self.settled_weight = 0
        # How many of all messages so far this connection was given; None: every one
        self._given: int | None = None
        self.seen_up_to = 0
        self._numbers: list[int] | None = None  # of the oldest entries, if they have gaps
        self._awaiting_reply: AwaitedReplies | None = None  # None: no message awaits a reply
        self._early_answers: EarlyAnswers | None = None  # None: no answer was early
        self._ends_with_goodbye = False  # the last message that was settled is a Goodbye

    def __len__(self) -> int:
        return len(self.entries) + len(self._awaiting_reply or ())

    @property
    def bytes(self) -> int:
        """Payload of all messages in the ledger."""
        return self.weight - self.share * len(self)

    @property
    def held_bytes(self) -> int:
        """Approximate memory of the messages: payload and objects."""
        return self.weight + (_OBJECTS - self.share) * len(self)

    @property
    def bytes_ever(self) -> int:
        """Payload of all messages that were ever added."""
        messages = self.settled_messages + len(self)
        return self.settled_weight + self.weight - self.share * messages

    @property
    def latest(self) -> int:
        """The number of the message that was added last."""
        return self.settled_messages + len(self.entries) + len(self._awaiting_reply or ())

    @property
    def has_room(self) -> bool:
        """Whether a ledger that was full has room enough to read the client again."""
        return self.weight <= self.capacity // 2

    @property
    def replayable(self) -> int:
        """How many entries, the oldest ones, an earlier backend may have seen."""
        noted = self._numbers or ()
        before_others = self.latest - len(self.entries) + len(noted)
        return bisect_right(noted, self.seen_up_to) + max(0, self.seen_up_to - before_others)

    @property
    def given(self) -> int:
        """How many messages were given to this connection, or settled before it came."""
        return self.settled_messages + len(self) if self._given is None else self._given

    @property
    def in_flight(self) -> int:
        """How many messages this connection was given and has not settled."""
        return self.given - self.settled_messages

    def ungiven(self) -> Iterator[Message]:
        """Iterates over the entries that this connection was not given."""
        return islice(self.entries, self._given_entries, None)

    def ungiven_numbers(self) -> Iterator[int]:
        """Iterates over the numbers of these entries."""
        return islice(self._entry_numbers(), self._given_entries, None)

    def _entry_numbers(self) -> Iterator[int]:
        noted, latest = self._numbers or (), self.latest
        follow = range(latest - len(self.entries) + len(noted) + 1, latest + 1)
        return chain(noted, follow)

    @property
    def _given_entries(self) -> int:
        return self.in_flight - len(self._awaiting_reply or ())

    def delivered(self, count: int, now: float) -> None:
        """Forgets the oldest `count` entries; those that expect a reply await it from now on.

        Args:
            count: as the connection has reported it.
            now: the clock's time, from which replies have `expires` seconds.
        """
        popleft = self.entries.popleft
        share = self.share
        weight = settled = 0
        for index in range(min(count, len(self.entries))):
            message = popleft()
            if isinstance(message, ReplyExpected) and not self._was_answered(message, settled):
                if self._awaiting_reply is None:
                    self._awaiting_reply = AwaitedReplies()
                number = self._number_of(index, settled)
                older = self._awaiting_reply.add(message, number, now + message.expires)
                if older is None:
                    continue
                message = older  # has lost its handle, so it cannot be answered any more
            weight += message.size + share
            settled += 1
        if self._numbers:
            del self._numbers[:count]
        if settled:
            self._ends_with_goodbye = isinstance(message, Goodbye)
        self.weight -= weight
        self.settled_weight += weight
        self.settled_messages += settled

    def answered(self, handle: Hashable) -> None:
        """Forgets the message of this handle: the application has answered it."""
        message = self._awaiting_reply.pop(handle) if self._awaiting_reply else None
        if message is not None:
            self._settle(message)
        elif self.entries:
            if self._early_answers is None:
                self._early_answers = EarlyAnswers()
            self._early_answers.index(self.entries, self.settled_messages + len(self))
            self._early_answers.add(handle, max(self.seen_up_to, self.given))

    @property
    def expects_replies(self) -> bool:
        """Whether the ledger holds a message that the application must answer."""
        return bool(self._awaiting_reply) or any(
            isinstance(message, ReplyExpected) for message in self.entries
        )

    @property
    def is_complete(self) -> bool:
        """Whether the connection was given the client's Goodbye, and no reply is awaited."""
        entries, early = self.entries, self._early_answers or ()
        if not (isinstance(entries[-1], Goodbye) if entries else self._ends_with_goodbye):
            return False
        if self._awaiting_reply or self._given_entries < len(entries):
            return False
        return not any(
            isinstance(message, ReplyExpected) and place not in early
            for place, message in enumerate(entries, self.settled_messages)
        )

    @property
    def next_expiry(self) -> float | None:
        """When the next awaited reply is overdue; None: no reply is awaited."""
        return self._awaiting_reply.next_expiry if self._awaiting_reply else None

    def expire(self, now: float) -> int:
        """Forgets the messages whose reply is overdue; returns their number."""
        expired = 0
        awaiting = self._awaiting_reply
        while awaiting and (message := awaiting.pop_overdue(now)) is not None:
            self._settle(message)
            expired += 1
        return expired

    def stop_giving(self) -> None:
        """Notes that the connection is given no message from now on."""
        self._given = self.given

    def gave_one(self) -> None:
        """Notes that the connection was given the next message."""
        self._given = self.given + 1

    def take_back(self, count: int) -> None:
        """Notes that the ended connection has not sent the last `count` messages it was given."""
        if count:
            self._given = self.given - min(count, self._given_entries)

    def gave_all(self) -> None:
        """Notes that the connection was given all messages, and is given each new one."""
        self._given = None

    def delivered_all(self, now: float) -> None:
        """Notes that the connection has delivered everything it was given."""
        self.delivered(self._given_entries, now)

    def forget_given(self) -> int:
        """Forgets everything that the connection was given; returns the number of messages."""
        settled = self.settled_messages
        self.delivered_all(0.0)
        for message in self._awaiting_reply or ():
            self._settle(message)
        self._awaiting_reply = None
        return self.settled_messages - settled

    def rewind(self) -> None:
        """Notes that the connection is gone: the next one must be given its messages again."""
        self.seen_up_to = max(self.seen_up_to, next(self.ungiven_numbers(), self.latest + 1) - 1)
        has_sent_once = any(isinstance(message, SentOnce) for message in self.entries)
        if self._awaiting_reply or self._early_answers or has_sent_once:
            self._put_back()
        self._early_answers = None
        self._given = self.settled_messages

    def forget_answered(self) -> None:
        """Forgets what was answered after `rewind`, before another connection is given anything."""
        if self._early_answers:
            self._put_back(keep_sent_once=True)
            self._early_answers = None
            self._given = self.settled_messages

    def _put_back(self, *, keep_sent_once: bool = False) -> None:
        """Makes entries of all unanswered messages, and notes their numbers.

        Args:
            keep_sent_once: False: forget entries that are to be sent once, too.
        """
        early = self._early_answers or ()
        unanswered: list[tuple[Message, int]] = []
        if self._awaiting_reply is not None:
            unanswered += self._awaiting_reply.numbered()
        numbered = zip(self.entries, self._entry_numbers(), strict=True)
        for place, (message, number) in enumerate(
            numbered, self.settled_messages + len(unanswered)
        ):
            was_sent = isinstance(message, SentOnce) and not keep_sent_once
            if place in early or was_sent:
                self._settle(message)
            else:
                unanswered.append((message, number))
        self.entries = deque(message for message, _ in unanswered)
        self._numbers = [number for _, number in unanswered]
        self._awaiting_reply = None

    def close(self) -> None:
        """Forgets everything, and every message that is still added."""
        self.settled_messages += len(self)
        self.settled_weight += self.weight
        self.weight = 0
        self.entries = deque(maxlen=0)
        self._numbers = self._awaiting_reply = self._early_answers = None

    def _number_of(self, index: int, settled: int) -> int:
        """Returns the number of a message that `delivered` has just taken from the entries.

        Args:
            index: how many it has taken before.
            settled: how many of these are not yet counted in `settled_messages`.
        """
        if self._numbers and index < len(self._numbers):
            return self._numbers[index]
        return self.settled_messages + settled + len(self._awaiting_reply or ()) + 1

    def _was_answered(self, message: ReplyExpected, settled: int) -> bool:
        """Returns whether a message was answered before its delivery.

        Args:
            message: `delivered` has just taken it from the entries.
            settled: as in `_number_of`.
        """
        if self._early_answers is None:
            return False
        number = self.settled_messages + settled + len(self._awaiting_reply or ())
        return self._early_answers.take(message.handle, number)

    def _settle(self, message: Message) -> None:
        weight = message.size + self.share
        self.weight -= weight
        self.settled_weight += weight
        self.settled_messages += 1
