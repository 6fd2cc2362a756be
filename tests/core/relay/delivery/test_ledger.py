"""The ledger forgets what was delivered, and nothing else."""

from __future__ import annotations

import time
import tracemalloc
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgw_core.api import BINARY, Goodbye, Limits, Message, ReplyExpected, SentOnce
from wsgw_core.relay.delivery.awaited_replies import AwaitedReplies
from wsgw_core.relay.delivery.ledger import Ledger
from wsgw_core.testing.fakes import as_message


def add(ledger: Ledger, message: Message) -> None:
    """Do what Outbox.transmit does in place."""
    ledger.entries.append(message)
    ledger.weight += message.size + ledger.share


def bounded(max_messages: int, max_bytes: int) -> Ledger:
    """Make the ledger of a session with these limits."""
    limits = Limits(ledger_messages=max_messages, ledger_bytes=max_bytes)
    return Ledger(limits.ledger_bytes, limits.message_share)


def filled(*contents: str, max_messages: int = 100, max_bytes: int = 10_000) -> Ledger:
    ledger = bounded(max_messages, max_bytes)
    for content in contents:
        add(ledger, as_message(content))
    return ledger


def texts(ledger: Ledger) -> list[str]:
    return [message.text for message in ledger.entries]


def expecting(handle: str, size: int = 1, expires: float = 10) -> ReplyExpected:
    return ReplyExpected(BINARY, b"x" * size, handle, expires)


class TestDelivery:
    def test_the_oldest_are_forgotten_first(self) -> None:
        ledger = filled("A", "B", "C")
        ledger.delivered(2, now=0)
        assert texts(ledger) == ["C"]
        assert len(ledger) == 1
        assert ledger.settled_messages == 2

    def test_delivery_of_more_messages_than_there_are_is_harmless(self) -> None:
        ledger = filled("A")
        ledger.delivered(5, now=0)
        assert len(ledger) == ledger.weight == 0
        assert ledger.settled_messages == 1

    def test_the_weight_is_that_of_the_messages_left(self) -> None:
        ledger = filled("A", "BBB")
        ledger.delivered(1, now=0)
        assert ledger.weight == 3 + ledger.share
        ledger.delivered(1, now=0)
        assert ledger.weight == 0

    def test_each_message_takes_memory_besides_its_payload(self) -> None:
        empty = filled("").held_bytes
        assert empty >= 100
        assert filled("A", "BBB").held_bytes == 2 * empty + 4
        assert filled("A", "BBB", max_messages=7).held_bytes == 2 * empty + 4


class TestBounds:
    @pytest.mark.parametrize(("messages", "size"), [(10, 0), (3, 0), (7, 0), (4096, 0)])
    def test_a_ledger_is_full_at_its_number_of_messages(self, messages: int, size: int) -> None:
        ledger = bounded(messages, 2 * 1024 * 1024)
        for _ in range(messages - 1):
            add(ledger, Message(BINARY, b"x" * size))
        assert ledger.weight < ledger.capacity
        add(ledger, Message(BINARY, b""))
        assert ledger.weight >= ledger.capacity

    def test_a_ledger_is_full_at_its_number_of_bytes(self) -> None:
        ledger = bounded(1000, 1000)
        add(ledger, Message(BINARY, b"x" * 998))
        assert ledger.weight < ledger.capacity
        add(ledger, Message(BINARY, b""))
        assert ledger.weight >= ledger.capacity

    def test_empty_messages_fill_the_ledger_too(self) -> None:
        ledger = bounded(1000, 10)
        for _ in range(10):
            add(ledger, Message(BINARY, b""))
        assert ledger.weight >= ledger.capacity

    def test_a_ledger_has_room_at_half_its_capacity(self) -> None:
        ledger = filled(*["" for _ in range(100)])
        assert not ledger.has_room
        ledger.delivered(49, now=0)
        assert not ledger.has_room
        ledger.delivered(1, now=0)
        assert ledger.has_room


class TestReplies:
    def test_an_answered_message_is_forgotten(self) -> None:
        ledger = filled()
        add(ledger, expecting("a", size=7))
        ledger.delivered(1, now=0)
        assert len(ledger) == 1
        assert ledger.weight == 7 + ledger.share
        ledger.answered("a")
        assert len(ledger) == ledger.weight == 0
        assert ledger.settled_messages == 1

    def test_an_answer_before_the_delivery_settles_the_message(self) -> None:
        ledger = filled()
        add(ledger, expecting("a"))
        ledger.answered("a")
        assert len(ledger) == 1
        ledger.delivered(1, now=0)
        assert len(ledger) == ledger.weight == 0

    def test_each_reply_expires_at_its_own_time(self) -> None:
        ledger = filled()
        add(ledger, expecting("a", expires=10))
        add(ledger, expecting("b", expires=5))
        ledger.delivered(2, now=100)
        assert ledger.next_expiry == 105
        assert ledger.expire(104) == 0
        assert ledger.expire(105) == 1
        assert ledger.next_expiry == 110
        assert ledger.expire(1000) == 1
        assert len(ledger) == ledger.weight == 0
        assert ledger.settled_messages == 2

    def test_a_handle_that_is_used_twice_leaves_no_weight_behind(self) -> None:
        ledger = filled()
        add(ledger, expecting("a", size=5))
        add(ledger, expecting("a", size=9))
        ledger.delivered(2, now=0)
        assert len(ledger) == 1
        assert ledger.weight == 9 + ledger.share
        ledger.answered("a")
        assert len(ledger) == ledger.weight == 0
        assert ledger.settled_messages == 2

    def test_a_handle_can_be_used_again_once_it_was_answered(self) -> None:
        ledger = filled()
        add(ledger, expecting("a", size=5))
        ledger.answered("a")
        add(ledger, expecting("a", size=9))
        ledger.answered("a")
        ledger.delivered(2, now=0)
        assert len(ledger) == ledger.weight == 0

    def test_an_answer_counts_for_its_message_only_when_the_handle_is_used_again(self) -> None:
        ledger = filled()
        add(ledger, expecting("a", size=5))
        ledger.answered("a")
        add(ledger, expecting("a", size=9))
        ledger.delivered(2, now=0)
        assert ledger.weight == 9 + ledger.share
        ledger.rewind()
        assert [message.size for message in ledger.entries] == [9]

    def test_an_early_answer_is_not_forgotten_when_others_are_answered_in_between(self) -> None:
        ledger = filled()
        for handle in "abcd":
            add(ledger, expecting(handle))
        ledger.delivered(1, now=0)
        ledger.answered("c")
        ledger.answered("a")
        ledger.rewind()
        assert [message.handle for message in replies(ledger)] == ["b", "d"]
        assert ledger.settled_messages == 2

    def test_an_early_answer_counts_while_an_older_message_awaits_its_reply(self) -> None:
        ledger = filled()
        add(ledger, expecting("a", size=5))
        add(ledger, expecting("b", size=9))
        ledger.delivered(1, now=0)
        ledger.answered("b")
        ledger.delivered(1, now=0)
        assert ledger.weight == 5 + ledger.share
        ledger.answered("a")
        assert len(ledger) == ledger.weight == 0

    def test_no_answer_counts_for_a_message_that_was_never_given(self) -> None:
        ledger = filled()
        ledger.stop_giving()
        add(ledger, expecting("a"))
        ledger.answered("a")
        ledger.gave_all()
        ledger.delivered(1, now=0)
        assert len(ledger) == 1
        ledger.answered("a")
        assert len(ledger) == 0

    @pytest.mark.parametrize("handle", [None, 0, "", ()])
    def test_replies_with_any_handle_expire(self, handle: Hashable) -> None:
        ledger = filled()
        add(ledger, ReplyExpected(BINARY, b"", handle, 5))
        ledger.delivered(1, now=0)
        assert ledger.expire(5) == 1
        assert len(ledger) == 0

    def test_the_unanswered_come_first_in_a_replay(self) -> None:
        ledger = filled()
        add(ledger, expecting("a", size=1))
        add(ledger, expecting("b", size=2))
        add(ledger, as_message("plain"))
        add(ledger, expecting("c", size=3))
        ledger.delivered(3, now=0)
        ledger.rewind()
        assert [len(message.data) for message in ledger.entries] == [1, 2, 3]
        assert ledger.replayable == 3
        assert ledger.next_expiry is None  # they wait for their acknowledgement again


def is_complete(ledger: Ledger) -> bool:
    """Read the property, which the type checker does not expect to change."""
    return ledger.is_complete


class TestGoodbye:
    def test_it_completes_the_ledger_when_the_connection_was_given_it(self) -> None:
        ledger = filled("A")
        ledger.stop_giving()
        add(ledger, Goodbye(BINARY, b""))
        assert not is_complete(ledger)
        ledger.gave_one()
        assert is_complete(ledger)
        ledger.delivered(2, now=0)
        assert is_complete(ledger)

    def test_it_does_not_complete_the_ledger_while_a_reply_is_awaited(self) -> None:
        ledger = filled()
        add(ledger, expecting("a"))
        add(ledger, Goodbye(BINARY, b""))
        assert not is_complete(ledger)
        ledger.delivered(2, now=0)
        assert not is_complete(ledger)
        ledger.answered("a")
        assert is_complete(ledger)


def test_messages_to_be_sent_once_are_not_replayed() -> None:
    ledger = filled("A")
    add(ledger, SentOnce(BINARY, b"given"))
    ledger.stop_giving()
    add(ledger, SentOnce(BINARY, b"held back"))
    add(ledger, as_message("B"))
    ledger.rewind()
    assert texts(ledger) == ["A", "B"]
    assert ledger.weight == 2 + 2 * ledger.share
    assert ledger.replayable == 1
    assert list(ledger.ungiven_numbers()) == [1, 4]


def test_messages_to_be_sent_once_that_came_without_a_backend_go_to_the_next_one() -> None:
    ledger = filled()
    add(ledger, expecting("a"))
    ledger.rewind()
    add(ledger, SentOnce(BINARY, b"new"))
    ledger.answered("a")
    ledger.forget_answered()
    assert [message.data for message in ledger.entries] == [b"new"]


def test_only_messages_given_to_a_backend_are_replayable() -> None:
    ledger = filled("A", "B")
    assert ledger.replayable == 0
    ledger.rewind()
    add(ledger, as_message("C"))
    assert ledger.replayable == 2
    ledger.rewind()  # the next one is lost before it was given anything
    assert ledger.replayable == 2
    ledger.gave_all()
    ledger.rewind()
    assert ledger.replayable == 3


def test_forget_given_keeps_messages_that_were_not_given() -> None:
    ledger = filled("A")
    add(ledger, expecting("answered"))
    add(ledger, expecting("early"))
    ledger.delivered(2, now=0)
    ledger.answered("early")
    ledger.stop_giving()
    add(ledger, as_message("B"))
    assert ledger.forget_given() == 2
    assert [message.text for message in ledger.entries] == ["B"]
    assert ledger.weight == 1 + ledger.share
    assert ledger.in_flight == 0


def test_a_closed_ledger_keeps_nothing() -> None:
    ledger = filled("A", "B")
    ledger.delivered(1, now=0)
    ledger.close()
    assert len(ledger) == ledger.bytes == 0
    assert ledger.settled_messages == 2
    for _ in range(1000):
        add(ledger, as_message("too late"))
    assert len(ledger) == 0


@dataclass
class Entry:
    """One message of the model."""

    number: int
    size: int
    waits: bool
    once: bool = False
    answered: bool = False
    given: bool = True
    seen: bool = False
    acknowledged: bool = False
    deadline: float = 0.0


class Model:
    """The simplest ledger: a list in which messages are marked."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.settled = 0
        self.holding = False

    def sweep(self, now: float | None = None) -> None:
        keep = []
        for entry in self.entries:
            over = entry.acknowledged and (
                not entry.waits or entry.answered or (now is not None and entry.deadline <= now)
            )
            if over:
                self.settled += 1
            else:
                keep.append(entry)
        self.entries = keep

    def rewind(self) -> None:
        before = len(self.entries)
        self.entries = [
            each for each in self.entries if not ((each.waits and each.answered) or each.once)
        ]
        self.settled += before - len(self.entries)
        self.entries.sort(key=lambda each: (not each.acknowledged, each.number))
        for entry in self.entries:
            entry.acknowledged = False
            entry.seen |= entry.given
            entry.given = False
        self.holding = True

    def give_all(self) -> None:
        for entry in self.entries:
            entry.given = True
        self.holding = False


EXPIRES = 10.0
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 20)),
        st.tuples(st.just("add_waiting"), st.integers(0, 20)),
        st.tuples(st.just("add_once"), st.integers(0, 20)),
        st.tuples(st.just("deliver"), st.integers(0, 4)),
        st.tuples(st.just("answer"), st.integers(0, 20)),
        st.tuples(st.just("pass_time"), st.integers(0, 8)),
        st.tuples(st.just("rewind"), st.just(0)),
        st.tuples(st.just("stop_giving"), st.just(0)),
        st.tuples(st.just("give_one"), st.just(0)),
        st.tuples(st.just("give_all"), st.just(0)),
    ),
    max_size=60,
)


class Pair:
    """A ledger and its model; each method, one of OPERATIONS, does the same to both."""

    def __init__(self) -> None:
        self.ledger = bounded(50, 1000)
        self.model = Model()
        self.now = 0.0
        self.count = 0

    def add(self, size: int, *, waits: bool = False, once: bool = False) -> None:
        data = self.count.to_bytes(4, "big") + b"x" * size
        message = Message(BINARY, data)
        if waits:
            message = ReplyExpected(BINARY, data, self.count, EXPIRES)
        elif once:
            message = SentOnce(BINARY, data)
        add(self.ledger, message)
        given = not self.model.holding
        self.model.entries.append(Entry(self.count, len(data), waits, once, given=given))
        self.count += 1

    def add_waiting(self, size: int) -> None:
        self.add(size, waits=True)

    def add_once(self, size: int) -> None:
        self.add(size, once=True)

    def deliver(self, number: int) -> None:
        pending = [each for each in self.model.entries if each.given and not each.acknowledged]
        for entry in pending[:number]:
            entry.acknowledged, entry.deadline = True, self.now + EXPIRES
        self.ledger.delivered(min(number, len(pending)), self.now)
        self.model.sweep()

    def answer(self, number: int) -> None:
        self.ledger.answered(number)
        for entry in self.model.entries:
            if entry.waits and entry.number == number and (entry.given or entry.seen):
                entry.answered = True
        self.model.sweep()

    def pass_time(self, seconds: int) -> None:
        self.now += seconds
        before = len(self.model.entries)
        self.model.sweep(self.now)
        assert self.ledger.expire(self.now) == before - len(self.model.entries)

    def rewind(self, _number: int) -> None:
        self.ledger.rewind()
        self.model.rewind()
        assert self.ledger.replayable == sum(entry.seen for entry in self.model.entries)
        assert all(
            entry.seen == (entry.number + 1 <= self.ledger.seen_up_to)
            for entry in self.model.entries
        )

    def stop_giving(self, _number: int) -> None:
        self.ledger.stop_giving()
        self.model.holding = True

    def give_one(self, _number: int) -> None:
        ungiven = [entry for entry in self.model.entries if not entry.given]
        if ungiven:
            self.ledger.gave_one()
            ungiven[0].given = True

    def give_all(self, _number: int) -> None:
        self.ledger.gave_all()
        self.model.give_all()

    def check(self) -> None:
        ledger, entries = self.ledger, self.model.entries
        assert numbers(ledger.entries) == [each.number for each in entries if not each.acknowledged]
        assert numbers(ledger.ungiven()) == [each.number for each in entries if not each.given]
        ungiven = [each.number + 1 for each in entries if not each.given]
        assert list(ledger.ungiven_numbers()) == ungiven
        assert ledger.latest == self.count
        assert ledger.in_flight == sum(each.given for each in entries)
        assert len(ledger) == len(entries)
        assert ledger.weight == sum(entry.size + ledger.share for entry in entries)
        assert ledger.settled_messages == self.model.settled
        assert ledger.settled_messages + len(ledger) == self.count


def replies(ledger: Ledger) -> list[ReplyExpected]:
    return [message for message in ledger.entries if isinstance(message, ReplyExpected)]


def seconds_for_answers(open_messages: int, order: str) -> float:
    """Return the processor time of a thousand answers while so many messages are open."""
    ledger = bounded(10**6, 2**30)
    handles = deque(range(open_messages))
    for handle in handles:
        add(ledger, ReplyExpected(BINARY, b"x", handle, EXPIRES))
    if order == "after the delivery":
        ledger.delivered(open_messages, now=0)
    begun = time.thread_time()
    for new in range(open_messages, open_messages + 1000):
        if order == "never":
            ledger.answered(-1)
            continue
        ledger.answered(handles.popleft() if order != "newest first" else handles.pop())
        handles.append(new)
        add(ledger, ReplyExpected(BINARY, b"x", new, EXPIRES))
        if order == "after the delivery":
            ledger.delivered(1, now=new)
            ledger.expire(now=0)
    return time.thread_time() - begun


@pytest.mark.parametrize("order", ["oldest first", "newest first", "after the delivery", "never"])
def test_an_answer_costs_the_same_however_many_messages_are_open(order: str) -> None:
    few = min(seconds_for_answers(40, order) for _ in range(5))
    many = min(seconds_for_answers(8000, order) for _ in range(5))
    assert many < 5 * few


def seconds_for_latest_replies(awaited: int) -> float:
    """Return the processor time of a thousand replies to the latest of so many messages."""
    replies = AwaitedReplies()
    for number in range(awaited):
        replies.add(ReplyExpected(BINARY, b"", number, EXPIRES), number, expires=number)
    latest = ReplyExpected(BINARY, b"", "latest", EXPIRES)
    begun = time.thread_time()
    for number in range(awaited, awaited + 1000):
        replies.add(latest, number, expires=number)
        replies.pop("latest")
    return time.thread_time() - begun


def test_a_reply_costs_the_same_however_many_older_messages_await_theirs() -> None:
    few = min(seconds_for_latest_replies(40) for _ in range(5))
    many = min(seconds_for_latest_replies(8000) for _ in range(5))
    assert many < 5 * few


def test_deadlines_of_answered_messages_take_no_memory() -> None:
    replies = AwaitedReplies()
    message = ReplyExpected(BINARY, b"", "the same", EXPIRES)
    tracemalloc.start()
    try:
        for expires in range(20_000):
            replies.add(message, expires, expires=expires + EXPIRES)
            replies.pop(message.handle)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 50_000
    assert replies.next_expiry is None


def numbers(messages: Iterable[Message]) -> list[int]:
    return [int.from_bytes(message.data[:4], "big") for message in messages]


@settings(max_examples=500, derandomize=True, deadline=None)
@given(OPERATIONS)
def test_a_ledger_behaves_like_a_simple_model(operations: list[tuple[str, int]]) -> None:
    pair = Pair()
    for operation, number in operations:
        getattr(pair, operation)(number)
        pair.check()
