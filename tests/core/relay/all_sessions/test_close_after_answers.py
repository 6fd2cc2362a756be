"""A stopping gateway closes each client after the answers to its messages."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import Close, Message, ReplyExpected
from wsgw_core.relay.all_sessions.close_all import close_all_sessions
from wsgw_core.testing.fakes import FakeBackend, FakeConnection, Hang
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, valve

STOPPING = Close(1012, "stopping")


class AnsweringConnection(FakeConnection):
    """A connection that acknowledges a message when it is answered."""

    delivered_is_answered = True


class AnsweringBackend(FakeBackend):
    """A backend with AnsweringConnections."""

    def __init__(self, backend_id: str) -> None:
        super().__init__(backend_id)
        self._kind = AnsweringConnection


async def answering() -> RelayBench:
    """Open a session whose backends acknowledge by answering."""
    return await RelayBench(AnsweringBackend("blue"), AnsweringBackend("green")).open()


def stop(bench: RelayBench, answer_timeout: float = 5) -> asyncio.Task[int]:
    return asyncio.create_task(
        close_all_sessions(bench.table, 1012, "stopping", over=0, answer_timeout=answer_timeout)
    )


@on_virtual_clock
async def test_the_client_is_not_read_and_is_closed_after_its_answer() -> None:
    bench = await answering()
    bench.say("A")
    connection = bench.blue.connections[0]
    told = stop(bench)
    await asyncio.sleep(1)
    assert not bench.client.closes
    assert not bench.is_reading()
    assert connection.reply("answer")
    connection.acknowledge()
    await asyncio.sleep(1)
    assert bench.client.texts == ["answer"]
    assert bench.client.closed == STOPPING
    assert bench.is_reading()  # for its own close
    assert await told == 0


@on_virtual_clock
async def test_after_a_loss_the_next_backend_answers() -> None:
    bench = await answering()
    bench.say("A")
    told = stop(bench)
    await idle()
    bench.drop()
    connection = await bench.green.connection()
    assert connection.texts == ["A"]
    connection.reply("answer")
    connection.acknowledge()
    assert await told == 0
    assert bench.client.texts == ["answer"]
    assert bench.client.closed == STOPPING


@on_virtual_clock
async def test_clients_closed_at_the_timeout_without_answers_are_counted() -> None:
    bench = await answering()
    bench.say("A")
    begin = asyncio.get_running_loop().time()
    assert await stop(bench, answer_timeout=3) == 1
    assert asyncio.get_running_loop().time() - begin == pytest.approx(3, abs=0.1)
    assert bench.client.closed == STOPPING
    assert not bench.blue.connections[0].reply("too late")


@pytest.mark.parametrize("why", ["nothing is owed", "nothing is owed after a loss", "unknown"])
@on_virtual_clock
async def test_clients_that_wait_for_no_answer_are_closed_at_once(why: str) -> None:
    if why == "unknown":
        bench = await RelayBench().open()
        bench.say("A")
    else:
        bench = await answering()
    if why == "nothing is owed after a loss":
        bench.green.otherwise = Hang()
        bench.drop()
    told = stop(bench)
    await idle()
    assert bench.client.closed == STOPPING
    assert await told == 0


@on_virtual_clock
async def test_a_client_that_leaves_ends_the_wait() -> None:
    bench = await answering()
    bench.say("A")
    told = stop(bench, answer_timeout=1000)
    await idle()
    bench.leave(4000, "bye")
    assert await told == 0
    assert asyncio.get_running_loop().time() < 1000
    assert bench.client.closes == []


class Asking(PassingValve):
    """Expects for each message a reply with the same text."""

    def before_transmit(self, message: Message) -> Message | None:
        return ReplyExpected(message.kind, message.data, message.text, expires=100)

    def after_receive(self, message: Message) -> Message | None:
        self.view.answered(message.text)
        return message


@on_virtual_clock
async def test_replies_that_a_valve_expects_are_waited_for() -> None:
    bench = await RelayBench(valves=(valve(Asking),)).open()
    bench.say("answer")
    bench.blue.connections[0].acknowledge()
    told = stop(bench)
    await asyncio.sleep(1)
    assert not bench.client.closes
    bench.blue.connections[0].reply("answer")
    await told
    assert bench.client.texts == ["answer"]
    assert bench.client.closed == STOPPING
