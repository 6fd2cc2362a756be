"""Messages keep their numbers for the session's whole life, at every backend."""

from __future__ import annotations

import asyncio

from wsgw_core.api import Close, Hydration, Message
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.testing.fakes import FakeBackend, FakeNumberedConnection, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, replayed, valve
from ..valves.hydrating_valve import hydrating
from .test_reply_acknowledgement import Correlating


def numbered(*names: str) -> tuple[FakeBackend, ...]:
    return tuple(FakeBackend(name, numbered=True) for name in names)


async def seen_at(backend: FakeBackend, number: int = 0) -> list[tuple[str, int]]:
    """Return the messages that a backend's connection was sent, with their numbers."""
    connection = await backend.connection(number)
    assert isinstance(connection, FakeNumberedConnection)
    await idle()
    return list(zip(connection.texts, connection.numbers, strict=True))


@on_virtual_clock
async def test_messages_are_numbered_from_one() -> None:
    bench = await RelayBench(*numbered("blue")).open()
    bench.say("A", "B")
    assert await seen_at(bench.blue) == [("A", 1), ("B", 2)]
    assert bench.blue.requests[0].seen_up_to == 0


@on_virtual_clock
async def test_a_replay_has_the_old_numbers_and_what_follows_new_ones() -> None:
    bench = await RelayBench(*numbered("blue", "green")).open()
    bench.say("A", "B", "C")
    bench.blue.connections[0].acknowledge(1)
    bench.drop()
    bench.say("D")
    assert await seen_at(bench.green) == [("B", 2), ("C", 3), ("D", 4)]
    bench.say("E")
    assert (await seen_at(bench.green))[-1] == ("E", 5)
    assert bench.green.requests[0].seen_up_to == 3


@on_virtual_clock
async def test_a_backend_without_numbers_does_not_stop_the_counting() -> None:
    blue, green = FakeBackend("blue"), *numbered("green")
    bench = await RelayBench(blue, green).open()
    bench.say("A", "B")
    assert bench.blue.connections[0].texts == ["A", "B"]
    bench.blue.connections[0].acknowledge()
    bench.drop()
    bench.say("C")
    assert await seen_at(bench.green) == [("C", 3)]
    assert bench.green.requests[0].seen_up_to == 2
    assert replayed(bench.green.requests[0]) == 0


@on_virtual_clock
async def test_messages_that_no_backend_has_seen_are_not_in_seen_up_to() -> None:
    bench = await RelayBench(*numbered("blue", "green")).open()
    bench.say("A")
    bench.green.will()
    for backend in bench.backends:
        backend.go_down()
    bench.say("B", "C")
    await asyncio.sleep(1)
    bench.green.come_up()
    assert await seen_at(bench.green) == [("A", 1), ("B", 2), ("C", 3)]
    assert bench.green.requests[-1].seen_up_to == 1


@on_virtual_clock
async def test_injected_messages_have_numbers() -> None:
    class Doubling(PassingValve):
        def before_transmit(self, message: Message) -> Message | None:
            self.view.send_to_backend(as_message(f"after {message.text}"))
            return message

    bench = await RelayBench(*numbered("blue"), valves=(valve(Doubling),)).open()
    bench.say("A", "B")
    assert await seen_at(bench.blue) == [("A", 1), ("after A", 2), ("B", 3), ("after B", 4)]


@on_virtual_clock
async def test_hydration_messages_have_no_number() -> None:
    bench = await RelayBench(
        *numbered("blue", "green"), valves=(hydrating(Hydration(as_message("login"))),)
    ).open()
    bench.say("A")
    bench.drop()
    bench.say("B")
    assert await seen_at(bench.green) == [("login", 0), ("A", 1), ("B", 2)]
    connection = bench.green.connections[0]
    connection.acknowledge(2)  # the hydration and A
    connection.drop()
    assert await seen_at(bench.blue, 1) == [("login", 0), ("B", 2)]


@on_virtual_clock
async def test_answers_in_another_order_leave_gaps_and_no_number_changes() -> None:
    bench = await RelayBench(*numbered("blue", "green"), valves=(valve(Correlating),)).open()
    bench.say("?a", "B", "?c", "D", "?e")
    connection = bench.blue.connections[0]
    connection.acknowledge(4)
    connection.reply("!c")
    connection.reply("!e")  # before its acknowledgement
    connection.drop()
    bench.say("F")
    assert await seen_at(bench.green) == [("?a", 1), ("F", 6)]
    assert bench.green.requests[0].seen_up_to == 5
    bench.green.connections[0].acknowledge()
    bench.drop(bench.green)
    bench.say("G")
    assert await seen_at(bench.blue, 1) == [("?a", 1), ("G", 7)]
    assert bench.blue.requests[1].seen_up_to == 6


@on_virtual_clock
async def test_a_replay_one_by_one_has_the_numbers_too() -> None:
    bench = await RelayBench(*numbered("only"), failover=FailoverOptions(stable=1)).open()
    bench.say("A", "B")
    bench.blue.connections[0].acknowledge(1)
    bench.say("C")
    for number in range(3):
        (await bench.blue.connection(number)).drop()
    careful = await bench.blue.connection(3)
    await careful.until_received(1)
    careful.acknowledge()
    await careful.until_received(2)
    careful.acknowledge()
    bench.say("D")
    assert await seen_at(bench.blue, 3) == [("B", 2), ("C", 3), ("D", 4)]


@on_virtual_clock
async def test_a_forgotten_message_keeps_its_number() -> None:
    bench = await RelayBench(
        *numbered("blue", "green"), failover=FailoverOptions(delivery="at-most-once")
    ).open()
    bench.say("A", "B")
    bench.drop()
    bench.say("C")
    assert await seen_at(bench.green) == [("C", 3)]
    assert bench.green.requests[0].seen_up_to == 2


@on_virtual_clock
async def test_a_planned_move_goes_on_with_the_next_number() -> None:
    bench = await RelayBench(*numbered("blue", "green")).open()
    bench.say("A")
    bench.blue.connections[0].acknowledge()
    assert bench.session.move()
    await bench.green.connection()
    bench.say("B")
    assert await seen_at(bench.green) == [("B", 2)]
    assert bench.green.requests[0].seen_up_to == 1
    bench.leave(1000)
    bench.green.connections[0].acknowledge()
    await bench.until_ended()
    assert bench.green.connections[0].ended == Close(1000)


@on_virtual_clock
async def test_messages_a_connection_has_not_sent_are_not_replayed() -> None:
    bench = await RelayBench(*numbered("blue", "green")).open()
    bench.say("A", "B", "C", "D")
    connection = bench.blue.connections[0]
    connection.acknowledge(1)
    connection.unsent = 2  # type: ignore[attr-defined]  # optional, see NumberedConnection
    bench.drop()
    assert await seen_at(bench.green) == [("B", 2), ("C", 3), ("D", 4)]
    assert bench.green.requests[0].seen_up_to == 2
    assert replayed(bench.green.requests[0]) == 1


@on_virtual_clock
async def test_at_most_once_keeps_messages_that_a_connection_has_not_sent() -> None:
    failover = FailoverOptions(delivery="at-most-once")
    bench = await RelayBench(*numbered("blue", "green"), failover=failover).open()
    bench.say("A", "B", "C")
    bench.blue.connections[0].unsent = 1  # type: ignore[attr-defined]  # see NumberedConnection
    bench.drop()
    assert await seen_at(bench.green) == [("C", 3)]
    assert bench.counters.undelivered.value == 2
