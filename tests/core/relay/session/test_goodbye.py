"""A backend that has the client's last message may end in any way."""

from __future__ import annotations

import pytest

from wsgw_core.api import TEXT, Close, Goodbye, Message, ReplyExpected
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, valve


class Parting(PassingValve):
    """Makes `bye` a Goodbye; a message `?x` expects the reply `!x`."""

    def before_transmit(self, message: Message) -> Message:
        if message.text == "bye":
            return Goodbye(TEXT, message.data)
        if message.text.startswith("?"):
            return ReplyExpected(TEXT, message.data, message.text[1:], expires=10)
        return message

    def after_receive(self, message: Message) -> Message:
        self.view.answered(message.text[1:])
        return message


@pytest.mark.parametrize("acknowledged", [0, 3])
@pytest.mark.parametrize("leaves", [False, True])
@on_virtual_clock
async def test_a_backend_that_has_the_goodbye_ends_the_session_with_any_close(
    leaves: bool, acknowledged: int
) -> None:
    bench = await RelayBench(valves=(valve(Parting),)).open()
    connection = bench.blue.connections[0]
    bench.say("?a", "b", "bye")
    connection.reply("!a")
    connection.acknowledge(acknowledged)
    if leaves:
        bench.leave()
    connection.drop()
    await idle()
    assert bench.ended
    assert not bench.green.connections
    assert bench.counters.undelivered.value == 0
    assert bench.client.closed == (None if leaves else Close(1000, ""))


@on_virtual_clock
async def test_a_normal_end_leaves_nothing_undelivered_either() -> None:
    bench = await RelayBench(valves=(valve(Parting),)).open()
    bench.say("b", "bye")
    bench.blue.connections[0].hang_up(1000, "died")
    await idle()
    assert bench.client.closed == Close(1000, "died")
    assert bench.counters.undelivered.value == 0


@pytest.mark.parametrize("said", [["?a", "bye"], ["bye", "b"], ["b"]])
@on_virtual_clock
async def test_a_reply_that_is_still_awaited_makes_a_loss_a_failover(said: list[str]) -> None:
    bench = await RelayBench(valves=(valve(Parting),)).open()
    bench.say(*said)
    bench.blue.connections[0].drop()
    assert (await bench.green.connection()).texts == said


@on_virtual_clock
async def test_a_goodbye_that_no_backend_has_goes_to_the_next() -> None:
    bench = await RelayBench(valves=(valve(Parting),)).open()
    bench.blue.connections[0].drop()
    bench.say("a", "bye")
    following = await bench.green.connection()
    assert following.texts == ["a", "bye"]
    following.drop()
    await idle()
    assert bench.ended
