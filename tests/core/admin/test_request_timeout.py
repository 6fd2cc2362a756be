"""The limits of time and bytes for one admin connection."""

from __future__ import annotations

import asyncio
from typing import Any

from wsgw_core.admin.request_timeout import RequestTimeoutProtocol
from wsgw_core.api import Metrics
from wsgw_core.testing.virtual_clock import on_virtual_clock

SECONDS, MOST = 10.0, 100


class Transport(asyncio.Transport):
    """One that tells what it still has to write, and whether it was dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.unwritten = 0
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unwritten

    def abort(self) -> None:
        self.aborted = True


class Recorder(asyncio.Protocol):
    """Notes what is passed on."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> bool:
        return True

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(f"lost {exc}")


class Bench:
    """A RequestTimeoutProtocol between a transport and a protocol of the test."""

    def __init__(self) -> None:
        self.there: list[Any] = []
        self.dropped = Metrics().counter("dropped", "")
        self.transport, self.protocol = Transport(), Recorder()
        self.timed = RequestTimeoutProtocol(
            self.protocol,
            SECONDS,
            MOST,
            lambda transport, _: self.there.append(transport),
            self.there.remove,
            self.dropped,
        )
        self.timed.connection_made(self.transport)

    @property
    def drops(self) -> int:
        assert self.transport.aborted == bool(self.dropped.value)
        return self.dropped.value


@on_virtual_clock
async def test_connection_without_a_request_is_dropped_after_its_time() -> None:
    bench = Bench()
    await asyncio.sleep(SECONDS - 0.01)
    assert bench.drops == 0
    await asyncio.sleep(0.02)
    assert bench.drops == 1


@on_virtual_clock
async def test_each_request_restarts_the_timeout() -> None:
    bench = Bench()
    for _ in range(3):
        await asyncio.sleep(SECONDS - 0.01)
        bench.timed.begin()
        bench.timed.end()
    assert bench.drops == 0
    await asyncio.sleep(SECONDS + 0.01)
    assert bench.drops == 1


@on_virtual_clock
async def test_bytes_beyond_the_limit_drop_the_connection() -> None:
    bench = Bench()
    bench.timed.data_received(b"x" * MOST)
    assert bench.drops == 0
    assert len(bench.protocol.received) == MOST
    bench.timed.data_received(b"y")
    assert bench.drops == 1
    assert len(bench.protocol.received) == MOST


@on_virtual_clock
async def test_each_request_restarts_the_byte_count() -> None:
    bench = Bench()
    for _ in range(3):
        bench.timed.data_received(b"x" * MOST)
        bench.timed.begin()
    assert bench.drops == 0


@on_virtual_clock
async def test_connection_is_idle_without_request_and_unsent_bytes() -> None:
    bench = Bench()
    idle = [bench.timed.is_idle]
    bench.timed.begin()
    idle.append(bench.timed.is_idle)
    bench.transport.unwritten = 1
    bench.timed.end()
    idle.append(bench.timed.is_idle)
    bench.transport.unwritten = 0
    idle.append(bench.timed.is_idle)
    assert idle == [True, False, False, True]


@on_virtual_clock
async def test_closed_connection_is_not_dropped_later() -> None:
    bench = Bench()
    assert bench.there == [bench.transport]
    bench.timed.pause_writing()
    bench.timed.resume_writing()
    assert bench.timed.eof_received() is True
    bench.timed.connection_lost(None)
    assert bench.there == []
    assert bench.protocol.calls == ["made", "pause", "resume", "lost None"]
    await asyncio.sleep(2 * SECONDS)
    assert bench.drops == 0
