"""A client's ping is answered when the backend that serves has answered it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from wsgw_core.relay.client.forwarded_pings import ForwardedPings
from wsgw_core.testing.fakes import as_message
from wsgw_core.testing.virtual_clock import on_virtual_clock

from ..relay_bench import RelayBench


@on_virtual_clock
async def test_the_backends_pong_answers_the_client() -> None:
    bench = await RelayBench().open()
    bench.session.client_pinged(b"one")
    [answer] = bench.blue.connections[0].pings
    assert bench.client.pongs == []
    answer()
    assert bench.client.pongs == [b"one"]
    answer()
    assert bench.client.pongs == [b"one"]


@on_virtual_clock
async def test_only_the_last_of_several_pings_is_answered() -> None:
    bench = await RelayBench().open()
    bench.session.client_pinged(b"one")
    bench.session.client_pinged(b"two")
    first, second = bench.blue.connections[0].pings
    first()
    assert bench.client.pongs == []
    second()
    assert bench.client.pongs == [b"two"]


@on_virtual_clock
async def test_an_unanswered_ping_goes_to_the_next_backend() -> None:
    bench = await RelayBench().open()
    bench.session.client_pinged(b"one")
    bench.drop()
    connection = await bench.green.connection()
    [late] = bench.blue.connections[0].pings
    late()
    assert bench.client.pongs == []
    [answer] = connection.pings
    answer()
    assert bench.client.pongs == [b"one"]


@on_virtual_clock
async def test_no_ping_is_answered_without_a_backend() -> None:
    bench = await RelayBench().open()
    bench.blue.go_down()
    bench.green.go_down()
    bench.session.client_pinged(b"one")
    bench.session.client_pinged(b"two")
    bench.green.come_up()
    connection = await bench.green.connection()
    [answer] = connection.pings
    answer()
    assert bench.client.pongs == [b"two"]


@on_virtual_clock
async def test_a_client_that_is_closed_or_gone_gets_no_pong() -> None:
    bench = await RelayBench().open()
    bench.session.client_pinged(b"one")
    bench.session.close_client(1012)
    [answer] = bench.blue.connections[0].pings
    answer()
    bench.leave(1012)
    answer()
    assert bench.client.pongs == []
    bench.session.view().send_to_client(as_message("nothing either"))
    assert bench.client.received_late == []


def test_a_connection_without_ping_answers_at_once() -> None:
    pongs: list[bytes] = []
    without: Any = SimpleNamespace(ping=None)
    ForwardedPings(pongs.append).received(b"one", without)
    assert pongs == [b"one"]
