"""When the gateway closes a client, no message is lost that the client takes for sent."""

from __future__ import annotations

import pytest

from wsgw_core.api import Close
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, valve


@on_virtual_clock
async def test_messages_before_the_clients_answer_reach_the_backend() -> None:
    bench = await RelayBench().open()
    connection = bench.blue.connections[0]
    bench.session.close_client(1012, "gateway is stopping")
    assert bench.client.closed == Close(1012, "gateway is stopping")
    bench.say("A")
    assert connection.texts == ["A"]
    bench.leave(1012, "gateway is stopping")
    assert connection.close_request != Close(1001, "gateway is stopping")
    connection.acknowledge()
    assert connection.close_request == Close(1001, "gateway is stopping")
    await bench.until_ended()
    assert bench.counters.undelivered.value == 0


@on_virtual_clock
async def test_a_client_that_does_not_answer_the_close_is_lost() -> None:
    bench = await RelayBench().open()
    bench.session.close_client(1012, "gateway is stopping")
    bench.leave(1006)  # as its socket does when closing takes too long
    connection = bench.blue.connections[0]
    assert connection.close_request == Close(1001, "gateway is stopping")


@on_virtual_clock
async def test_a_client_gets_nothing_after_its_close() -> None:
    bench = await RelayBench().open()
    bench.session.close_client(1012)
    assert not bench.blue.connections[0].reply("too late")
    bench.session.view().send_to_client(as_message("too late"))
    bench.drop()
    connection = await bench.green.connection()
    assert not connection.reply("too late")
    connection.hang_up(1000, "and good night")
    assert bench.client.received_late == []
    assert bench.client.closes == [Close(1012)]
    assert bench.ended


@on_virtual_clock
async def test_messages_of_a_closed_client_wait_for_a_backend() -> None:
    bench = await RelayBench().open()
    bench.blue.go_down()
    bench.green.go_down()
    bench.session.close_client(1012)
    bench.say("A")
    bench.leave(1012)
    assert bench.session.state is State.FLUSH_HOLDING
    bench.green.come_up()
    assert (await bench.green.connection()).texts == ["A"]


@on_virtual_clock
async def test_a_full_ledger_pauses_a_closed_client_too() -> None:
    bench = await RelayBench(limits=LimitOptions(ledger_messages=4)).open()
    bench.say(*"ABCD")
    bench.session.close_client(1012)
    assert not bench.is_reading()
    bench.blue.connections[0].acknowledge()
    assert bench.is_reading()


@pytest.mark.parametrize("state", ["left", "ended", "dismissed"])
@on_virtual_clock
async def test_a_client_that_has_left_or_is_being_closed_is_not_closed_again(state: str) -> None:
    bench = await RelayBench().open()
    if state == "left":
        bench.leave()
    elif state == "ended":
        bench.session.close(1000)
    else:
        bench.session.close_client(1012)
    closes = list(bench.client.closes)
    bench.session.close_client(1008)
    await idle()
    assert bench.client.closes == closes


@pytest.mark.parametrize("with_valve", [False, True])
@on_virtual_clock
async def test_messages_after_the_backends_end_count_as_undelivered(
    with_valve: bool,
) -> None:
    bench = await RelayBench(valves=(valve(PassingValve),) if with_valve else ()).open()
    bench.session.close_client(1012, "gateway is stopping")
    bench.say("A")
    connection = bench.blue.connections[0]
    connection.acknowledge()
    connection.hang_up(1000)
    assert bench.ended
    bench.say("B", "C")  # before it has read the close
    bench.leave(1012)
    assert bench.counters.undelivered.value == 2
