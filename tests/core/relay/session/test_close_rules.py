"""When one side closes, the other side gets the right close."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import Close
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RecordingListener, RelayBench


@pytest.mark.parametrize(
    ("client", "backend"),
    [
        (Close(1000, "bye"), Close(1000, "bye")),
        (Close(1001), Close(1001)),
        (Close(3000, "library"), Close(3000, "library")),
        (Close(4999, "application"), Close(4999, "application")),
        (Close(1005), Close(1005)),  # the client gave no code
        (Close(1006, "connection lost"), Close(1001, "client lost")),
    ],
)
@on_virtual_clock
async def test_a_clients_close_is_passed_on(client: Close, backend: Close) -> None:
    bench = await RelayBench().open()
    bench.leave(client.code, client.reason)
    assert bench.blue.connections[0].close_request == backend
    await idle()
    assert bench.ended
    assert bench.client.closes == []  # its socket has answered
    assert bench.counters.violations.value == 0


@pytest.mark.parametrize("code", [1002, 1007, 1009])
@on_virtual_clock
async def test_a_clients_violation_closes_the_backend_with_1001(code: int) -> None:
    bench = await RelayBench().open()
    bench.say("A")
    bench.leave(code, "fault", violation=True)
    connection = bench.blue.connections[0]
    assert connection.texts == ["A"]
    connection.acknowledge()
    assert connection.close_request is not None
    assert connection.close_request.code == 1001
    assert bench.counters.violations.value == 1


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1005, 1007, 1008, 1009, 1010, 3000, 4999])
@on_virtual_clock
async def test_a_backends_close_is_passed_on(code: int) -> None:
    listener = RecordingListener()
    bench = await RelayBench(listeners=(listener,)).open()
    bench.say("A")
    bench.blue.connections[0].hang_up(code, "reason")
    assert bench.client.closed == Close(code, "reason")
    assert bench.ended
    assert bench.green.requests == []
    assert listener.log[-1] == f"listener: terminated {code} reason"
    assert bench.counters.undelivered.value == 1


@pytest.mark.parametrize("code", [1001, 1006, 1011, 1012, 1013, 1014])
@on_virtual_clock
async def test_an_abnormal_close_of_the_backend_does_not_reach_the_client(code: int) -> None:
    bench = await RelayBench().open()
    bench.say("A")
    bench.blue.connections[0].hang_up(code, "reason", abnormal=True)
    assert (await bench.green.connection()).texts == ["A"]
    assert bench.client.closed is None


@on_virtual_clock
async def test_the_same_breach_by_a_second_backend_ends_the_session() -> None:
    bench = await RelayBench().open()
    bench.say("A")
    breach = Close(1011, "broke the protocol: opcode 3", abnormal=True, breach=True)
    bench.blue.connections[0].end(breach)
    (await bench.green.connection()).end(breach)
    assert bench.client.closed == Close(1011, "broke the protocol: opcode 3")
    assert bench.ended
    assert len(bench.blue.requests) == len(bench.green.requests) == 1
    assert bench.counters.undelivered.value == 1


@on_virtual_clock
async def test_another_breach_or_one_by_the_same_backend_moves_the_session() -> None:
    bench = await RelayBench().open()
    for number, backend in enumerate([bench.blue, bench.green, bench.blue, bench.green]):
        connection = await backend.connection(number // 2)
        connection.end(Close(1011, f"opcode {number}", abnormal=True, breach=True))
    await asyncio.sleep(5)
    assert bench.client.closed is None
    bench.pooled[1].enabled = False
    for _ in range(3):
        await asyncio.sleep(5)
        bench.blue.connections[-1].end(Close(1011, "opcode 9", abnormal=True, breach=True))
    await asyncio.sleep(5)
    assert bench.client.closed is None


@on_virtual_clock
async def test_the_same_breach_ends_a_session_whose_client_has_left() -> None:
    bench = await RelayBench().open()
    bench.say("A")
    bench.leave()
    breach = Close(1011, "opcode 3", abnormal=True, breach=True)
    bench.blue.connections[0].end(breach)
    (await bench.green.connection()).end(breach)
    assert bench.ended


@on_virtual_clock
async def test_an_operators_close_ends_both_sides() -> None:
    bench = await RelayBench().open()
    bench.say("A")
    bench.session.close(1000, "aborted")
    assert bench.ended
    assert bench.client.closed == Close(1000, "aborted")
    close = bench.blue.connections[0].close_request
    assert close is not None
    assert close.code == 1001
    await idle()
    assert bench.green.requests == []


@on_virtual_clock
async def test_both_sides_close_at_once() -> None:
    bench = await RelayBench().open()
    connection = bench.blue.connections[0]
    bench.leave(4000, "client")
    connection.hang_up(4001, "backend")
    await idle()
    assert bench.ended
    assert bench.client.closes == []

    bench = await RelayBench().open()
    connection = bench.blue.connections[0]
    connection.hang_up(4001, "backend")
    bench.leave(4000, "client")
    await idle()
    assert bench.client.closed == Close(4001, "backend")
    assert connection.close_request is None


@on_virtual_clock
async def test_a_session_closed_twice_is_closed_once() -> None:
    listener = RecordingListener()
    bench = await RelayBench(listeners=(listener,)).open()
    bench.session.close(4000, "first")
    bench.session.close(4001, "second")
    bench.leave()
    await idle()
    assert bench.client.closed == Close(4000, "first")
    assert [line for line in listener.log if "terminated" in line] == [
        "listener: terminated 4000 first"
    ]
