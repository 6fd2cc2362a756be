"""The limit of admin connections, and which connection makes room."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from wsgw_core.admin.connections import Connections
from wsgw_core.api import Metrics
from wsgw_core.testing.virtual_clock import on_virtual_clock

SECONDS, MOST_BYTES = 10.0, 100


class Transport(asyncio.Transport):
    """Notes that it was aborted, and has as much to write as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.unwritten = 0
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unwritten

    def abort(self) -> None:
        self.aborted = True


class Bench:
    """Connections, and the transports of those that were made."""

    def __init__(self, most: int) -> None:
        self.dropped = Metrics().counter("dropped", "")
        self.connections = Connections(most, SECONDS, MOST_BYTES, self.dropped)
        self.made: list[Transport] = []
        self._protocols: list[asyncio.Protocol] = []

    def connect(self, count: int = 1) -> None:
        for _ in range(count):
            self.made.append(Transport())
            self._protocols.append(self.connections.watched(asyncio.Protocol()))
            self._protocols[-1].connection_made(self.made[-1])

    def lose(self, number: int) -> None:
        self._protocols[number].connection_lost(None)

    @property
    def aborted(self) -> list[int]:
        return [number for number, transport in enumerate(self.made) if transport.aborted]


@on_virtual_clock
async def test_connections_up_to_the_limit_stay() -> None:
    bench = Bench(4)
    bench.connect(4)
    assert bench.aborted == []
    assert bench.dropped.value == 0


@on_virtual_clock
async def test_connection_beyond_the_limit_replaces_the_first_and_is_counted() -> None:
    bench = Bench(4)
    bench.connect(5)
    assert bench.aborted == [0]
    bench.connect()
    assert bench.aborted == [0, 1]
    assert bench.dropped.value == 2


@on_virtual_clock
async def test_ended_connection_makes_room() -> None:
    bench = Bench(4)
    bench.connect(4)
    bench.lose(2)
    bench.connect()
    assert bench.aborted == []


@pytest.mark.parametrize(("most", "busy", "dropped"), [(4, [0], 1), (5, [0, 1], 2), (4, [0, 1], 0)])
@on_virtual_clock
async def test_idle_connection_of_the_older_half_is_replaced_first(
    most: int, busy: list[int], dropped: int
) -> None:
    bench = Bench(most)
    bench.connect(most)
    for number in busy:
        bench.made[number].unwritten = 1
    bench.connect()
    assert bench.aborted == [dropped]


@on_virtual_clock
async def test_busy_connection_is_not_idle_and_counts_as_new_afterwards() -> None:
    bench = Bench(2)
    bench.connect(2)
    with bench.connections.answering(bench.made[0]):
        bench.made[1].unwritten = 1  # does not matter: it is of the newer half
    bench.connect()
    assert bench.aborted == [1]  # the other was answered later than this one came


@on_virtual_clock
async def test_request_is_answered_while_connections_arrive() -> None:
    bench = Bench(4)
    bench.connect(4)
    with bench.connections.answering(bench.made[0]):
        bench.connect()
        assert bench.aborted == [1]


@on_virtual_clock
async def test_connection_that_ends_during_its_request_is_forgotten() -> None:
    bench = Bench(2)
    bench.connect(2)
    with bench.connections.answering(bench.made[0]):
        bench.lose(0)
    bench.connect()
    assert bench.aborted == []


@on_virtual_clock
async def test_request_of_a_closed_connection_is_still_answered() -> None:
    bench = Bench(2)
    with ExitStack() as requests:
        requests.enter_context(bench.connections.answering(None))
        requests.enter_context(bench.connections.answering(Transport()))
    bench.connect(2)
    assert bench.aborted == []


@on_virtual_clock
async def test_connection_without_a_request_is_dropped_after_the_timeout() -> None:
    bench = Bench(2)
    bench.connect()
    await asyncio.sleep(SECONDS + 0.1)
    assert bench.aborted == [0]
