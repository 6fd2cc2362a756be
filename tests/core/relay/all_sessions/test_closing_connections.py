"""Bytes that connections hold after their session count until the connections are gone."""

from __future__ import annotations

from typing import Any

import pytest

from wsgw_core.api import Close
from wsgw_core.pool.backends.guarded_connection import GuardedConnection
from wsgw_core.testing.fakes import FakeConnection
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench


@pytest.mark.parametrize("end", ["backend", "client", "gateway"])
@on_virtual_clock
async def test_bytes_that_wait_for_the_client_count_after_the_session(end: str) -> None:
    bench = await RelayBench().open()
    bench.client.held_bytes = 5000
    if end == "backend":
        bench.blue.connections[0].end(Close(1000))
    elif end == "client":
        bench.leave()
    else:
        bench.session.close(1008)
    await idle()
    assert bench.table.closing.held_bytes == 5000


@pytest.mark.parametrize("end", ["gateway", "failover"])
@on_virtual_clock
async def test_bytes_that_wait_for_the_backend_count_after_the_session(end: str) -> None:
    bench = await RelayBench().open()
    connection: Any = bench.blue.connections[0]
    connection.held_bytes = 700
    if end == "gateway":
        bench.session.close(1008)
    else:
        bench.session.fail_over()
    await idle()
    assert isinstance(connection, FakeConnection)
    assert bench.table.closing.held_bytes == 700


@on_virtual_clock
async def test_connections_that_hold_nothing_are_not_remembered() -> None:
    bench = await RelayBench().open()
    bench.session.close(1008)
    bench.client.held_bytes = 5000
    assert bench.table.closing.held_bytes == 0


@on_virtual_clock
async def test_lasting_bytes_are_those_of_both_ends_and_the_headers() -> None:
    bench = await RelayBench(headers=(("Cookie", "x" * 94),)).open()
    connection: Any = bench.blue.connections[0]
    bench.client.lasting_bytes, connection.lasting_bytes = 3000, 500
    assert bench.session.lasting_bytes == 3600


@on_virtual_clock
async def test_a_connection_that_cannot_be_remembered_does_not_count() -> None:
    class Slotted:
        __slots__ = ()  # no place for weak references
        subprotocol, headers, held_bytes = None, (), 700

    bench = RelayBench()
    connection: Any = Slotted()
    sink: Any = None
    bench.table.closing.add(GuardedConnection(connection, bench.pooled[0], sink))
    assert bench.table.closing.held_bytes == 0
