"""The outbox keeps messages until they are delivered, and pauses reading the client."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import Close
from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.testing.fakes import FakeBackend, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench


def small(messages: int = 4) -> LimitOptions:
    return LimitOptions(ledger_messages=messages)


@on_virtual_clock
async def test_a_full_ledger_pauses_the_client_until_half_is_empty() -> None:
    bench = await RelayBench(limits=small()).open()
    read = []
    for _ in range(4):
        read.append(bench.is_reading())
        bench.say("")  # weighs nothing but its share
    read.append(bench.is_reading())
    assert read == [True, True, True, True, False]
    connection = bench.blue.connections[0]
    while not bench.is_reading():
        connection.acknowledge(1)
    assert 0 < connection.acknowledged <= 4
    assert bench.client.pauses == 1
    assert bench.counters.read_pauses.value == 1


@on_virtual_clock
async def test_messages_without_a_backend_wait_in_order() -> None:
    bench = await RelayBench(limits=small(100)).open()
    bench.say("A", "B", "C")
    bench.blue.connections[0].acknowledge(1)
    bench.blue.go_down()
    bench.green.go_down()
    bench.say("D")
    await asyncio.sleep(1)
    bench.say("E")
    bench.green.come_up()
    connection = await bench.green.connection()
    assert connection.texts == ["B", "C", "D", "E"]
    bench.say("F")
    assert connection.texts[-1] == "F"
    assert bench.session.unacknowledged == 5


@on_virtual_clock
async def test_an_unwritable_backend_pauses_the_client() -> None:
    bench = await RelayBench().open()
    connection = bench.blue.connections[0]
    connection.set_writable(False)
    assert not bench.is_reading()
    connection.set_writable(True)
    assert bench.is_reading()
    connection.set_writable(False)
    bench.drop()  # the next one is another
    await bench.green.connection()
    assert bench.is_reading()


@on_virtual_clock
async def test_at_most_once_forgets_what_the_lost_connection_was_given() -> None:
    options = FailoverOptions(delivery="at-most-once")
    bench = await RelayBench(failover=options).open()
    bench.say("A", "B")
    bench.blue.connections[0].acknowledge(1)
    bench.drop()
    bench.say("C")
    connection = await bench.green.connection()
    assert connection.texts == ["C"]
    assert bench.counters.undelivered.value == 1


@pytest.mark.parametrize(
    ("end", "replayed"), [(Close(1000), []), (Close(1006, abnormal=True), ["A", "B"])]
)
@on_virtual_clock
async def test_a_normal_end_after_the_sessions_close_acknowledges_all(
    end: Close, replayed: list[str]
) -> None:
    bench = await RelayBench(
        FakeBackend("blue", answer_close=False),
        FakeBackend("green"),
        drain=DrainOptions(quiet=0.2, patience=1),
    ).open()
    bench.say("A", "B")
    bench.session.move()
    [left] = bench.blue.connections
    async with asyncio.timeout(60):
        while left.close_request is None:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.1)
    left.end(end)
    await asyncio.sleep(5)
    assert bench.session.backend_id == "green"
    assert bench.green.connections[-1].texts == replayed
    assert bench.session.unacknowledged == len(replayed)


@on_virtual_clock
async def test_messages_after_the_end_are_not_kept() -> None:
    bench = await RelayBench().open()
    view = bench.session.view()
    bench.leave()
    await idle()
    assert bench.ended
    view.send_to_backend(as_message("late"))
    assert bench.session.unacknowledged == 0
    assert bench.blue.connections[0].ignored == []
