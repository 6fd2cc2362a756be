"""What gets through a session's end of a backend connection, and for how long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from wsgw_core.api import Close, Message
from wsgw_core.relay.delivery.link import Link
from wsgw_core.testing.fakes import FakeBackend, as_message
from wsgw_core.testing.session_context import pooled


class Session:
    """Writes down what a link tells it, and its outbox."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def backend_writable(self, writable: bool) -> None:
        self.told.append(writable)

    def backend_closed(self, close: Close) -> None:
        self.told.append(close)

    def delivered(self, count: int) -> None:
        self.told.append(count)


class Connection:
    """Writes down what it is given."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.calls: list[str] = []

    def send(self, message: Message) -> None:
        self.sent.append(message.text)

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")


class NumberedConnection(Connection):
    """Is told the number of each message."""

    unsent = 3
    held_bytes = 4
    lasting_bytes = 5
    is_in_a_message = True
    delivered_is_answered = True

    def send_numbered(self, message: Message, number: int) -> None:
        self.sent.append(f"{number} {message.text}")


class Bench:
    """A link, open unless told otherwise."""

    def __init__(self, connection: Connection | None = None, *, is_open: bool = True) -> None:
        self.session = Session()
        self.connection = connection or Connection()
        self.backend = pooled("blue", FakeBackend("blue"))
        self.received: list[str] = []
        self.link = Link()
        if is_open:
            self.open()

    def open(self) -> None:
        dialled: Any = SimpleNamespace(
            backend=self.backend, connection=self.connection, losses=self.backend.losses
        )
        session: Any = self.session
        self.link.open(session, session, dialled)
        self.link.receive_with(lambda message: self.received.append(message.text))


def say_everything(link: Link) -> bool:
    heard = link.message(as_message("reply"))
    link.delivered(1)
    link.writable(False)
    link.closed(Close(1006, abnormal=True))
    return heard


def test_nothing_gets_through_before_it_is_open_and_everything_after() -> None:
    bench = Bench(is_open=False)
    assert not say_everything(bench.link)
    assert bench.session.told == bench.received == []
    bench.open()
    assert say_everything(bench.link)
    assert bench.session.told == [1, False, Close(1006, abnormal=True)]
    assert bench.received == ["reply"]


def test_nothing_gets_through_when_it_is_severed_which_counts_once() -> None:
    bench = Bench()
    assert bench.backend.active == 1
    bench.link.sever()
    bench.link.sever()
    assert not say_everything(bench.link)
    assert bench.session.told == bench.received == []
    assert bench.backend.active == 0


def test_what_comes_when_the_client_has_gone_is_seen_and_not_heard() -> None:
    bench, seen = Bench(), list[str]()
    bench.link.receive_with(None, lambda message: seen.append(message.text))
    assert not bench.link.message(as_message("reply"))
    assert seen == ["reply"]
    bench.link.receive_with(None)
    assert not bench.link.message(as_message("more"))
    assert seen == ["reply"]


def test_what_prepares_a_backend_is_not_of_the_sessions_deliveries() -> None:
    bench = Bench()
    was_hydrated = [bench.link.was_hydrated]
    bench.link.hydrate(as_message("boot"))
    bench.link.delivered(1)
    bench.link.hydrate(as_message("auth"))
    bench.link.hydrate(as_message("fact"))
    was_hydrated.append(bench.link.was_hydrated)
    assert was_hydrated == [False, True]
    for count in (1, 3, 2):
        bench.link.delivered(count)
    assert bench.connection.sent == ["boot", "auth", "fact"]
    assert bench.session.told == [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("kind", "sent", "facts"),
    [
        (Connection, ["A", "B"], (0, 0, 0, False, False)),
        (NumberedConnection, ["7 A", "8 B"], (3, 4, 5, True, True)),
    ],
)
def test_what_a_connection_may_do_beside_is_asked_of_those_that_can(
    kind: type[Connection], sent: list[str], facts: tuple[object, ...]
) -> None:
    bench = Bench(kind())
    link, ledger = bench.link, SimpleNamespace(latest=8)
    link.give(as_message("A"), 7)
    link.sender(ledger)(as_message("B"))  # type: ignore[arg-type]  # what is asked of a ledger
    assert bench.connection.sent == sent
    assert facts == (
        link.unsent,
        link.held_bytes,
        link.lasting_bytes,
        link.is_in_a_message,
        link.delivered_is_answered,
    )
    link.pause_reading()
    link.resume_reading()
    assert bench.connection.calls == ["pause", "resume"]


def test_a_link_is_lost_with_all_of_its_backend() -> None:
    bench = Bench()
    assert not bench.link.is_lost
    bench.backend.losses += 1
    assert bench.link.is_lost


def test_messages_are_counted_by_their_size_where_nothing_changes_them() -> None:
    bench = Bench()
    counts = bench.backend.traffic.to_client
    bench.link.message(as_message("before"))
    assert sum(counts.counts) == 0
    bench.link.count()
    for size in (0, 1, 128, 129, 10_000_000):
        bench.link.message(as_message("x" * size))
    assert sum(counts.counts) == 4
    assert [counts.counts[0], counts.counts[1], counts.counts[2]] == [1, 2, 1]
