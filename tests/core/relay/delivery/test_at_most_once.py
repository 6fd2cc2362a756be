"""With `delivery: at-most-once`, messages that a backend may have seen are not sent again."""

from __future__ import annotations

import asyncio

from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.testing.virtual_clock import on_virtual_clock

from ..relay_bench import RelayBench, replayed

AT_MOST_ONCE = FailoverOptions(delivery="at-most-once")


@on_virtual_clock
async def test_what_the_lost_backend_was_given_is_not_sent_again() -> None:
    bench = await RelayBench(failover=AT_MOST_ONCE).open()
    bench.say("A", "B", "C")
    bench.blue.connections[0].acknowledge(1)
    bench.drop()
    connection = await bench.green.connection()
    bench.say("D")
    assert connection.texts == ["D"]
    assert replayed(connection.request) == 0
    assert dict(connection.request.headers)["X-Wsgw-Replayed"] == "0"
    assert bench.counters.undelivered.value == 2
    assert bench.session.unacknowledged == 1


@on_virtual_clock
async def test_what_came_while_there_was_no_backend_is_sent_once() -> None:
    bench = await RelayBench(failover=AT_MOST_ONCE).open()
    bench.say("A")
    bench.blue.go_down()
    bench.green.go_down()
    bench.say("B", "C")
    await asyncio.sleep(2)
    bench.green.come_up()
    connection = await bench.green.connection()
    assert connection.texts == ["B", "C"]
    bench.green.go_down()
    bench.blue.come_up()
    assert (await bench.blue.connection(1)).texts == []
    assert bench.counters.undelivered.value == 3


@on_virtual_clock
async def test_the_session_of_a_client_that_has_left_ends_when_its_backend_is_lost() -> None:
    bench = await RelayBench(failover=AT_MOST_ONCE).open()
    bench.say("A", "B")
    bench.leave()
    bench.drop()
    await bench.until_ended()
    assert bench.counters.undelivered.value == 2
    assert not bench.green.connections or bench.green.connections[0].texts == []
