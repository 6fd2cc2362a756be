"""A message that backends die of is found, and ends only its own session."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator

import pytest

from wsgw_core.api import Close
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.relay.delivery.ledger import Ledger
from wsgw_core.relay.delivery.poison import Deaths
from wsgw_core.relay.session.session import Session
from wsgw_core.testing.fakes import FakeBackend, FakeClient, FakeConnection, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench, replayed


async def lives(bench: RelayBench) -> AsyncIterator[FakeConnection]:
    """Iterate over the connections of the session's only backend, each when it is started."""
    number = 0
    while True:
        yield await bench.blue.connection(number)
        number += 1


def one(**options: object) -> RelayBench:
    return RelayBench(FakeBackend("only"), failover=FailoverOptions.model_validate(options))


@on_virtual_clock
async def test_after_two_deaths_in_a_replay_messages_are_sent_one_at_a_time() -> None:
    bench = await one(stable=1).open()
    bench.say("A", "B", "C")
    for number in range(3):
        connection = await bench.blue.connection(number)
        assert connection.texts == ["A", "B", "C"]
        connection.drop()
    careful = await bench.blue.connection(3)
    await idle()
    assert careful.texts == []  # it has not lasted yet
    assert replayed(careful.request) == 3
    assert await careful.until_received(1)
    for text in "ABC":
        assert careful.texts[-1] == text
        bench.say(f"behind {text}")
        careful.acknowledge()
    # They were all that is suspicious.
    assert careful.texts == ["A", "B", "C", "behind A", "behind B", "behind C"]
    bench.say("D")
    assert careful.texts[-1] == "D"


@pytest.mark.parametrize(("max_replays", "needed"), [(1, [True]), (2, [False, True])])
def test_the_lock_is_needed_before_the_death_that_would_end_the_session(
    max_replays: int, needed: list[bool]
) -> None:
    ledger = Ledger(1000, 1)
    deaths = Deaths(ledger, max_replays)
    ledger.entries.append(as_message("suspected"))
    found = []
    while not deaths.is_poison:
        found.append(deaths.needs_lock)
        assert len(found) <= len(needed)
        deaths.note(Close(1006, "lost", abnormal=True), alone=True)
    assert found == needed


@on_virtual_clock
async def test_a_message_alone_in_flight_at_the_last_death_ends_the_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = await one(max_replays=3).open()
    bench.say("good", "poison", "behind it")
    async for connection in lives(bench):
        await connection.until_received(1)
        if connection.texts == ["good"]:
            connection.acknowledge()
        assert "poison" in connection.texts
        connection.drop()
        if bench.ended:
            break
    # The first, two replays together with others, and three alone.
    assert len(bench.blue.connections) == 6
    assert bench.blue.connections[3].texts == ["good", "poison"]
    assert bench.blue.connections[-1].texts == ["poison"]
    assert bench.client.closed == Close(
        1011, "several backends died with the same message in flight"
    )
    assert bench.counters.poisoned.value == 1
    assert bench.counters.undelivered.value == 2
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    [line] = [each for each in warnings if each.startswith("session ")]
    assert "session-1" in line
    assert "text, 6 bytes" in line


@pytest.mark.parametrize("max_replays", [1, 2, 5])
@on_virtual_clock
async def test_the_number_of_deaths_is_configurable(max_replays: int) -> None:
    bench = await one(max_replays=max_replays).open()
    bench.say("poison", "behind it")
    async for connection in lives(bench):
        await connection.until_received(1)
        connection.drop()
        if bench.ended:
            break
    assert len(bench.blue.connections) == 3 + max_replays
    assert bench.blue.connections[-1].texts == ["poison"]


@pytest.mark.parametrize("code", [1001, 1012, 1013, 1014])
@on_virtual_clock
async def test_a_backend_that_says_why_it_goes_has_not_died_of_a_message(code: int) -> None:
    bench = await RelayBench(FakeBackend("only", answer_close=False)).open()
    bench.say("A", "B")
    for number in range(10):
        connection = await bench.blue.connection(number)
        assert connection.texts == ["A", "B"]
        connection.hang_up(code, abnormal=True)
    assert bench.client.closed is None


@on_virtual_clock
async def test_a_backend_that_drops_before_it_has_the_message_has_not_died_of_it() -> None:
    bench = await one(hold=300).open()
    bench.say("A")
    for number in range(30):
        (await bench.blue.connection(number)).drop()
    last = await bench.blue.connection(30)
    await last.until_received(1)
    last.acknowledge()
    assert bench.client.closed is None
    assert bench.counters.poisoned.value == 0


@on_virtual_clock
async def test_the_deaths_of_a_delivered_message_no_longer_count() -> None:
    bench = await one().open()
    bench.say("A")
    for number in range(3):
        (await bench.blue.connection(number)).drop()
    connection = await bench.blue.connection(3)
    await connection.until_received(1)
    bench.say("B")
    connection.acknowledge()
    assert connection.texts == ["A", "B"]
    connection.drop()
    assert (await bench.blue.connection(4)).texts == ["B"]


@on_virtual_clock
async def test_a_poisonous_message_ends_the_flush_of_a_client_that_has_left() -> None:
    bench = await one().open()
    bench.say("poison")
    bench.leave()
    async for connection in lives(bench):
        await connection.until_received(1)
        connection.drop()
        if bench.ended:
            break
    assert len(bench.blue.connections) == 6
    assert bench.counters.poisoned.value == 1
    assert bench.counters.undelivered.value == 1


@on_virtual_clock
async def test_a_move_by_an_operator_is_no_death() -> None:
    bench = await RelayBench(FakeBackend("only", answer_close=False)).open()
    bench.say("A", "B")
    for number in range(10):
        # the very first replay was not expected at the dial: that connection was not used
        connection = await bench.blue.connection(number + (number > 0))
        assert connection.texts == ["A", "B"]
        bench.session.fail_over()
    assert bench.client.closed is None


@on_virtual_clock
async def test_of_sessions_that_lose_a_backend_together_only_the_poisonous_one_ends() -> None:
    """The backend that reads the poison drops all sessions; they learn it one by one."""
    bench = RelayBench(FakeBackend("only"), failover=FailoverOptions(hold=300))
    sessions, clients = [], []
    for number in range(30):
        session = Session(f"session-{number}", bench.handshake, bench.context)
        await session.open()
        clients.append(FakeClient())
        session.start(clients[-1])
        for text in ("A", "poison" if number == 7 else "B", "C"):
            session.client_message(as_message(text))
        sessions.append(session)

    async def read() -> None:
        """Act as the backend: acknowledge what was read in the last round, die of poison."""
        while not clients[7].closes:
            await asyncio.sleep(0.1)
            live = [each for each in bench.blue.connections if each.ended is None]
            if any("poison" in connection.texts for connection in live):
                for connection in live:
                    connection.drop()
            for connection in live:
                if connection.ended is None and connection.started:
                    read_before.setdefault(connection, 0)
                    connection.acknowledge(
                        max(0, read_before[connection] - connection.acknowledged)
                    )
                    read_before[connection] = len(connection.received)

    read_before: dict[FakeConnection, int] = {}
    async with asyncio.timeout(600):
        await read()
    assert clients[7].closed == Close(1011, "several backends died with the same message in flight")
    assert bench.counters.poisoned.value == 1
    assert not any(client.closes for client in clients if client is not clients[7])


@on_virtual_clock
async def test_sessions_from_before_and_after_a_reload_share_the_lock() -> None:
    bench = one(stable=1)
    reloaded = dataclasses.replace(bench.context, failover=FailoverOptions(stable=0.5))
    for context in (bench.context, reloaded):
        session = Session(f"session-{context.failover.stable}", bench.handshake, context)
        await session.open()
        session.start(FakeClient())
        session.client_message(as_message("suspected"))
    for _ in range(4):  # together with others, and once alone
        await asyncio.sleep(10)
        for connection in bench.blue.connections[-2:]:
            assert connection.texts == ["suspected"]
            connection.drop()
    await asyncio.sleep(10)
    quick, slow = bench.blue.connections[-2:]
    if not quick.texts:
        quick, slow = slow, quick
    assert (quick.texts, slow.texts) == (["suspected"], [])
    quick.acknowledge()
    assert slow.texts == ["suspected"]
