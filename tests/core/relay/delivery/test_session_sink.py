"""A sink passes reports on between `open` and `sever`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from wsgw_core.api import Close, Message
from wsgw_core.pool.backends.guarded_connection import GuardedConnection
from wsgw_core.pool.dialling.dial import Dialled
from wsgw_core.relay.delivery.session_sink import SessionSink
from wsgw_core.spread_calls import AT_ONCE
from wsgw_core.testing.fakes import FakeBackend, as_message
from wsgw_core.testing.session_context import pooled
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock


class Outbox:
    """Records what a sink reports."""

    def __init__(self) -> None:
        self.reports: list[Any] = []

    def backend_writable(self, writable: bool) -> None:
        self.reports.append(writable)

    def delivered(self, count: int) -> None:
        self.reports.append(count)

    def stop_sending(self) -> None:
        self.reports.append("stop")


class Connection:
    """Records what it is sent."""

    subprotocol = None
    headers = ()

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
    """Gets the number of each message."""

    unsent = 3
    held_bytes = 4
    lasting_bytes = 5
    is_in_a_message = True
    delivered_is_answered = True

    def send_numbered(self, message: Message, number: int) -> None:
        self.sent.append(f"{number} {message.text}")


class Bench:
    """A sink, open by default."""

    def __init__(self, connection: Connection | None = None, *, is_open: bool = True) -> None:
        self.outbox = Outbox()
        self.connection = connection or Connection()
        self.backend = pooled("blue", FakeBackend("blue"))
        self.received: list[str] = []
        self.sink = SessionSink()
        if is_open:
            self.open()

    def open(self) -> None:
        plugin_connection: Any = self.connection
        connection = GuardedConnection(plugin_connection, self.backend, self.sink)
        dialled = Dialled(self.backend, connection, self.sink, self.backend.losses)
        self.sink.open(dialled, self.outbox, self.outbox.reports.append)
        self.sink.receive_with(lambda message: self.received.append(message.text))


def say_everything(sink: SessionSink) -> bool:
    heard = sink.message(as_message("reply"))
    sink.delivered(1)
    sink.writable(False)
    sink.closed(Close(1006, abnormal=True))
    return heard


async def test_a_sink_passes_nothing_on_before_open_and_everything_after() -> None:
    bench = Bench(is_open=False)
    assert not say_everything(bench.sink)
    assert bench.outbox.reports == bench.received == []
    bench.open()
    assert say_everything(bench.sink)
    assert bench.outbox.reports == [1, False, Close(1006, abnormal=True)]
    assert bench.received == ["reply"]


async def test_a_severed_sink_passes_nothing_on_and_is_counted_once() -> None:
    bench = Bench()
    assert bench.backend.active == 1
    bench.sink.sever()
    bench.sink.sever()
    assert not say_everything(bench.sink)
    assert bench.outbox.reports == bench.received == []
    assert bench.backend.active == 0


@on_virtual_clock
async def test_an_end_among_many_stops_sending_at_once_and_is_reported_once_later() -> None:
    bench = Bench()
    for _ in range(AT_ONCE):
        bench.backend.ends.call(int)
    bench.sink.closed(Close(1006, abnormal=True))
    bench.sink.lose(Close(1013, abnormal=True))
    assert bench.outbox.reports == ["stop"]
    await idle()
    assert bench.outbox.reports == ["stop", Close(1006, abnormal=True)]


@on_virtual_clock
async def test_an_end_that_waits_can_be_taken_at_once() -> None:
    bench = Bench()
    assert not bench.sink.take_end()
    for _ in range(AT_ONCE):
        bench.backend.ends.call(int)
    bench.sink.closed(Close(1000))
    assert bench.sink.take_end()
    bench.sink.sever()
    assert not bench.sink.take_end()
    await idle()
    assert bench.outbox.reports == ["stop", Close(1000)]


@on_virtual_clock
async def test_a_connection_that_its_backend_has_lost_is_not_heard() -> None:
    bench = Bench()
    for _ in range(AT_ONCE):
        bench.backend.ends.call(int)
    bench.sink.lose(Close(1013, abnormal=True))
    assert not bench.sink.message(as_message("too late"))
    assert bench.received == []


def test_messages_after_the_client_has_gone_reach_only_unheard() -> None:
    bench, seen = Bench(), list[str]()
    bench.sink.receive_with(None, lambda message: seen.append(message.text))
    assert not bench.sink.message(as_message("reply"))
    assert seen == ["reply"]
    bench.sink.receive_with(None)
    assert not bench.sink.message(as_message("more"))
    assert seen == ["reply"]


def test_hydration_messages_do_not_count_as_the_sessions_deliveries() -> None:
    bench = Bench()
    was_hydrated = [bench.sink.was_hydrated]
    bench.sink.hydrate(as_message("boot"))
    bench.sink.delivered(1)
    bench.sink.hydrate(as_message("auth"))
    bench.sink.hydrate(as_message("fact"))
    was_hydrated.append(bench.sink.was_hydrated)
    assert was_hydrated == [False, True]
    for count in (1, 3, 2):
        bench.sink.delivered(count)
    assert bench.connection.sent == ["boot", "auth", "fact"]
    assert bench.outbox.reports == [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("kind", "sent", "facts"),
    [
        (Connection, ["A", "B"], (0, 0, 0, False, False)),
        (NumberedConnection, ["7 A", "8 B"], (3, 4, 5, True, True)),
    ],
)
def test_optional_features_are_used_only_of_connections_that_have_them(
    kind: type[Connection], sent: list[str], facts: tuple[object, ...]
) -> None:
    bench = Bench(kind())
    sink, ledger = bench.sink, SimpleNamespace(latest=8)
    sink.give(as_message("A"), 7)
    sink.sender(ledger)(as_message("B"))  # type: ignore[arg-type]  # what is asked of a ledger
    assert bench.connection.sent == sent
    assert facts == (
        sink.unsent,
        sink.held_bytes,
        sink.lasting_bytes,
        sink.is_in_a_message,
        sink.delivered_is_answered,
    )
    sink.pause_reading()
    sink.resume_reading()
    assert bench.connection.calls == ["pause", "resume"]


def test_a_sink_is_lost_when_its_backend_loses_all_connections() -> None:
    bench = Bench()
    assert not bench.sink.is_lost
    bench.backend.losses += 1
    assert bench.sink.is_lost


def test_messages_are_counted_by_size_after_count() -> None:
    bench = Bench()
    counts = bench.backend.traffic.to_client
    bench.sink.message(as_message("before"))
    assert sum(counts.counts) == 0
    bench.sink.count()
    for size in (0, 1, 128, 129, 10_000_000):
        bench.sink.message(as_message("x" * size))
    assert sum(counts.counts) == 4
    assert [counts.counts[0], counts.counts[1], counts.counts[2]] == [1, 2, 1]
