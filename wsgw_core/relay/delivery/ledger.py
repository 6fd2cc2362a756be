"""What a session still owes its backend."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Hashable, Iterator
from itertools import chain, islice

from ...api import Goodbye, Message, ReplyExpected, SentOnce
from .awaited_replies import AwaitedReplies
from .early_answers import EarlyAnswers

_OBJECTS = 160  # bytes that a message takes besides its payload


class Ledger:
    """Keeps each message until it is delivered, in order; so it can be sent again.

    The connection that serves has been given all `entries`, unless some are held back: those from
    `ungiven` on. Messages that it has acknowledged but the application must still answer are kept
    aside; they are older than all others.

    Messages have numbers: 1, 2, 3 and so on, in the order in which they were added. The youngest
    entry has that of all messages ever, and those before it follow without a gap; unless answers
    have come in another order, or some are sent once: that is noted when the connection is lost.

    A message weighs its payload and a share for its bookkeeping; so one bound on the weight bounds
    bytes and messages.

    Args:
        capacity: the weight from which on the ledger is full, and the client is not read.
        share: the weight of a message without payload.

    Attributes:
        entries, weight: the relay adds to both itself, for each message: see Outbox.transmit.
        settled_messages, settled_weight: all that was delivered so far.
    """

    __slots__ = (
        "_awaiting_reply",
        "_early_answers",
        "_ends_with_goodbye",
        "_given",
        "_numbers",
        "_seen",
        "capacity",
        "entries",
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
        # Of all messages ever, how many this connection was given; None: all that there are
        self._given: int | None = None
        self._seen = 0  # the same for connections before it; the number of the last one, too
        self._numbers: list[int] | None = None  # of the oldest entries, where they have gaps
        # None while no valve waits for replies
        self._awaiting_reply: AwaitedReplies | None = None
        self._early_answers: EarlyAnswers | None = None  # None while no answer was early
        self._ends_with_goodbye = False  # what was delivered

    def __len__(self) -> int:
        return len(self.entries) + len(self._awaiting_reply or ())

    @property
    def bytes(self) -> int:
        """Payload of the messages that are kept."""
        return self.weight - self.share * len(self)

    @property
    def held_bytes(self) -> int:
        """Memory that the messages take, about: their payload, and objects for each."""
        return self.weight + (_OBJECTS - self.share) * len(self)

    @property
    def bytes_ever(self) -> int:
        """Payload of all messages that there ever were."""
        messages = self.settled_messages + len(self)
        return self.settled_weight + self.weight - self.share * messages

    @property
    def latest(self) -> int:
        """The number of the message that was added last."""
        return self.settled_messages + len(self.entries) + len(self._awaiting_reply or ())

    @property
    def seen_up_to(self) -> int:
        """The number up to which an earlier backend may have seen messages."""
        return self._seen

    @property
    def roomy(self) -> bool:
        """Whether a client that was not read can be read again."""
        return self.weight <= self.capacity // 2

    @property
    def replayable(self) -> int:
        """How many of the oldest entries an earlier backend may have seen."""
        noted = self._numbers or ()
        before_others = self.latest - len(self.entries) + len(noted)
        return bisect_right(noted, self._seen) + max(0, self._seen - before_others)

    @property
    def given(self) -> int:
        """How many messages ever were given to this connection, or settled before it came."""
        return self.settled_messages + len(self) if self._given is None else self._given

    @property
    def under_way(self) -> int:
        """How many messages this connection was given that are not settled."""
        return self.given - self.settled_messages

    def ungiven(self) -> Iterator[Message]:
        """Iterate over the entries that this connection was not given."""
        return islice(self.entries, self._given_entries, None)

    def ungiven_numbers(self) -> Iterator[int]:
        """Iterate over the numbers of these entries."""
        return islice(self._entry_numbers(), self._given_entries, None)

    def _entry_numbers(self) -> Iterator[int]:
        noted, latest = self._numbers or (), self.latest
        follow = range(latest - len(self.entries) + len(noted) + 1, latest + 1)
        return chain(noted, follow)

    @property
    def _given_entries(self) -> int:
        return self.under_way - len(self._awaiting_reply or ())

    def delivered(self, count: int, now: float) -> None:
        """Forget the oldest `count` messages.

        Args:
            count: as reported by the connection that was given them.
            now: the clock's time, for the expiry of replies.
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
                message = older  # against the rule; it cannot be answered any more
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
        """Forget the message that the application has answered."""
        message = self._awaiting_reply.pop(handle) if self._awaiting_reply else None
        if message is not None:
            self._settle(message)
        elif self.entries:
            if self._early_answers is None:
                self._early_answers = EarlyAnswers()
            self._early_answers.index(self.entries, self.settled_messages + len(self))
            self._early_answers.add(handle, max(self._seen, self.given))

    @property
    def expects_replies(self) -> bool:
        """Whether a message is kept that the application must answer."""
        return bool(self._awaiting_reply) or any(
            isinstance(message, ReplyExpected) for message in self.entries
        )

    @property
    def is_complete(self) -> bool:
        """Whether the connection was given the client's last message, and owes no answer."""
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
        """When the first of the awaited replies is overdue; None while none is awaited."""
        return self._awaiting_reply.next_expiry if self._awaiting_reply else None

    def expire(self, now: float) -> int:
        """Forget messages whose reply is overdue; return how many there were."""
        expired = 0
        awaiting = self._awaiting_reply
        while awaiting and (message := awaiting.pop_overdue(now)) is not None:
            self._settle(message)
            expired += 1
        return expired

    def hold_back(self) -> None:
        """Note that the connection is not given what comes from now on."""
        self._given = self.given

    def gave_one(self) -> None:
        """Note that the connection was given the oldest of those held back."""
        self._given = self.given + 1

    def take_back(self, count: int) -> None:
        """Note that the connection, which has ended, has not sent the last of what it was given."""
        if count:
            self._given = self.given - min(count, self._given_entries)

    def gave_all(self) -> None:
        """Note that the connection was given what was held back, and is given whatever comes."""
        self._given = None

    def delivered_all(self, now: float) -> None:
        """Forget what the connection was given, but for what the application must answer."""
        self.delivered(self._given_entries, now)

    def forget_given(self) -> int:
        """Forget what the connection was given; return how many messages there were."""
        settled = self.settled_messages
        self.delivered_all(0.0)
        for message in self._awaiting_reply or ():
            self._settle(message)
        self._awaiting_reply = None
        return self.settled_messages - settled

    def rewind(self) -> None:
        """Note that the connection is gone: what it was given is owed again."""
        self._seen = max(self._seen, next(self.ungiven_numbers(), self.latest + 1) - 1)
        has_sent_once = any(isinstance(message, SentOnce) for message in self.entries)
        if self._awaiting_reply or self._early_answers or has_sent_once:
            self._put_back()
        self._early_answers = None
        self._given = self.settled_messages

    def forget_answered(self) -> None:
        """Owe no more what was answered since the connection was lost; nothing was given since."""
        if self._early_answers:
            self._put_back(keep_sent_once=True)
            self._early_answers = None
            self._given = self.settled_messages

    def _put_back(self, *, keep_sent_once: bool = False) -> None:
        """Owe again what was not answered, no more what was or is sent once; note the numbers."""
        early = self._early_answers or ()
        owed: list[tuple[Message, int]] = []
        if self._awaiting_reply is not None:
            owed += self._awaiting_reply.numbered()
        numbered = zip(self.entries, self._entry_numbers(), strict=True)
        for place, (message, number) in enumerate(numbered, self.settled_messages + len(owed)):
            was_sent = isinstance(message, SentOnce) and not keep_sent_once
            if place in early or was_sent:
                self._settle(message)
            else:
                owed.append((message, number))
        self.entries = deque(message for message, _ in owed)
        self._numbers = [number for _, number in owed]
        self._awaiting_reply = None

    def close(self) -> None:
        """Forget everything, and whatever is still added."""
        self.settled_messages += len(self)
        self.settled_weight += self.weight
        self.weight = 0
        self.entries = deque(maxlen=0)
        self._numbers = self._awaiting_reply = self._early_answers = None

    def _number_of(self, index: int, settled: int) -> int:
        """Return the number of a message.

        Args:
            index: which one it is of those that are being taken from the entries; it was taken.
            settled: how many of those before it are not counted in `settled_messages` yet.
        """
        if self._numbers and index < len(self._numbers):
            return self._numbers[index]
        return self.settled_messages + settled + len(self._awaiting_reply or ()) + 1

    def _was_answered(self, message: ReplyExpected, settled: int) -> bool:
        """Tell whether a message was answered before its delivery.

        Args:
            message: just taken from the entries.
            settled: how many of those before it are not counted in `settled_messages` yet.
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
