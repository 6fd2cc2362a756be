"""The causes of closes, and which backends get the end of a session."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from wsgw_core.api import (
    BackendConnection,
    Close,
    CloseCause,
    CloseSession,
    DialRequest,
    Message,
    Session,
    Sink,
)
from wsgw_core.pool.backends.backend_pool import PooledBackend
from wsgw_core.pool.dialling.backend_search import NoBackend
from wsgw_core.relay.failover.acceptances import Acceptances
from wsgw_core.relay.session.session import ClosedWhileOpening
from wsgw_core.testing.fakes import Accept, Decline, FakeBackend, FakeConnection, Unavailable
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, valve

LEFT, MOVES, STOPS, ENDED, BACKEND = (
    CloseCause.CLIENT_LEFT,
    CloseCause.SESSION_MOVES,
    CloseCause.GATEWAY_STOPS,
    CloseCause.SESSION_ENDED,
    CloseCause.BACKEND_ENDED,
)


def ends(backend: FakeBackend) -> list[tuple[int, str, CloseCause]]:
    assert all(session_id == "session-1" for session_id, _, _ in backend.session_ends)
    return [(close.code, close.reason, cause) for _, close, cause in backend.session_ends]


def closing(connection: FakeConnection) -> tuple[int, str, CloseCause | None]:
    close = connection.close_request
    assert close is not None
    return close.code, close.reason, connection.close_cause


async def lose(bench: RelayBench) -> None:
    """Break the session's connection, and wait until another one has proved itself."""
    serving = next(each for each in bench.backends if each.backend_id == bench.session.backend_id)
    bench.drop(serving)
    await asyncio.sleep(3)


def remembered(bench: RelayBench) -> set[PooledBackend]:
    return set(bench.session.requests.acceptances._backends)  # noqa: SLF001 - how much it keeps


class Stubborn(FakeBackend):
    """Accepts each dial after ten seconds, even one that was cancelled."""

    async def connect(self, request: DialRequest, sink: Sink) -> FakeConnection:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        return await super().connect(request, sink)


# The cause of a close


@on_virtual_clock
async def test_a_client_that_leaves_ends_the_session_with_its_close() -> None:
    bench = await RelayBench().open()
    bench.leave(4001, "bye")
    await bench.until_ended()
    assert closing(bench.blue.connections[0]) == (4001, "bye", LEFT)
    assert ends(bench.blue) == [(4001, "bye", LEFT)]


@on_virtual_clock
async def test_a_lost_client_ends_the_session_with_1001() -> None:
    bench = await RelayBench().open()
    bench.leave(1006)
    await bench.until_ended()
    assert closing(bench.blue.connections[0]) == (1001, "client lost", LEFT)
    assert ends(bench.blue) == [(1001, "client lost", LEFT)]


@on_virtual_clock
async def test_a_client_that_breaks_the_protocol_ends_the_session_with_1001() -> None:
    bench = await RelayBench().open()
    bench.leave(1009, "too big", violation=True)
    await bench.until_ended()
    assert closing(bench.blue.connections[0]) == (1001, "too big", ENDED)
    assert ends(bench.blue) == [(1001, "too big", ENDED)]


@on_virtual_clock
async def test_a_stopping_gateway_is_the_cause_of_the_end() -> None:
    bench = await RelayBench().open()
    bench.session.close_client(1012, "gateway is stopping")
    bench.leave(1012)
    await bench.until_ended()
    assert closing(bench.blue.connections[0]) == (1001, "gateway is stopping", STOPS)
    assert ends(bench.blue) == [(1001, "gateway is stopping", STOPS)]


@on_virtual_clock
async def test_a_client_closed_for_a_limit_ends_the_session() -> None:
    bench = await RelayBench().open()
    bench.session.close_client(1008, "nothing was read for too long", ENDED)
    bench.leave(1008)
    await bench.until_ended()
    assert closing(bench.blue.connections[0])[2] is ENDED
    assert ends(bench.blue) == [(1001, "nothing was read for too long", ENDED)]


@on_virtual_clock
async def test_an_operator_closes_the_backend_with_1001() -> None:
    bench = await RelayBench().open()
    bench.session.close(1000, "closed by the operator")
    assert closing(bench.blue.connections[0]) == (1001, "closed by the operator", ENDED)
    assert ends(bench.blue) == [(1000, "closed by the operator", ENDED)]


@on_virtual_clock
async def test_a_valve_ends_the_session_with_its_code() -> None:
    class Ending(PassingValve):
        def before_transmit(self, message: Message) -> Message | None:
            raise CloseSession(4000, "enough")

    bench = await RelayBench(valves=(valve(Ending),)).open()
    bench.say("A")
    assert closing(bench.blue.connections[0]) == (4000, "enough", ENDED)
    assert ends(bench.blue) == [(4000, "enough", ENDED)]


@on_virtual_clock
async def test_a_move_closes_the_connection_and_is_no_end_of_the_session() -> None:
    bench = await RelayBench().open()
    bench.session.fail_over()
    await bench.green.connection()
    assert closing(bench.blue.connections[0]) == (1001, "moved to another backend", MOVES)
    assert bench.session.move()
    await bench.blue.connection(1)
    assert closing(bench.green.connections[0]) == (1001, "moved to another backend", MOVES)
    assert ends(bench.blue) == ends(bench.green) == []


@on_virtual_clock
async def test_a_slow_client_that_its_backend_closes_is_counted() -> None:
    bench = await RelayBench().open()
    bench.session.client_writable(False)
    bench.blue.connections[0].hang_up(1008, "too many replies wait for this client")
    assert bench.client.closed == Close(1008, "too many replies wait for this client")
    assert bench.counters.slow_clients_closed.value == 1

    other = await RelayBench().open()
    other.blue.connections[0].hang_up(1008, "against the rules")
    assert other.counters.slow_clients_closed.value == 0


# Which backends get the end, and when


@on_virtual_clock
async def test_a_backend_that_closes_normally_gets_the_end_too() -> None:
    bench = await RelayBench().open()
    bench.blue.connections[0].hang_up(4002, "done")
    assert ends(bench.blue) == [(4002, "done", BACKEND)]


@on_virtual_clock
async def test_each_backend_that_ever_accepted_gets_the_end_once() -> None:
    bench = await RelayBench(*(FakeBackend(name) for name in ("a", "b", "c"))).open()
    async with asyncio.timeout(600):
        while not all(backend.connections for backend in bench.backends):
            await lose(bench)
    await lose(bench)
    bench.leave(1000)
    await bench.until_ended()
    assert [ends(backend) for backend in bench.backends] == [[(1000, "", LEFT)]] * 3


@on_virtual_clock
async def test_a_backend_that_never_accepted_gets_no_end() -> None:
    bench = RelayBench(*(FakeBackend(name) for name in ("a", "b", "c")))
    bench.blue.will(Unavailable())
    await bench.open()
    bench.leave(1000)
    await bench.until_ended()
    assert ends(bench.blue) == []
    assert ends(bench.green) == [(1000, "", LEFT)]
    assert ends(bench.backends[2]) == []


@on_virtual_clock
async def test_backends_get_the_end_of_a_held_session() -> None:
    bench = await RelayBench().open()
    for backend in bench.backends:
        backend.go_down()
    await asyncio.sleep(1)
    assert bench.session.backend is None
    bench.leave(4001, "bye")
    await bench.until_ended()
    assert ends(bench.blue) == [(4001, "bye", LEFT)]


@on_virtual_clock
async def test_backends_get_the_end_when_the_hold_is_over() -> None:
    bench = await RelayBench().open()
    for backend in bench.backends:
        backend.go_down()
    await bench.until_ended()
    assert ends(bench.blue) == [(1013, "no backend available", ENDED)]


@on_virtual_clock
async def test_a_client_that_left_is_the_cause_even_if_its_messages_are_not_delivered() -> None:
    bench = await RelayBench().open()
    bench.say("A")
    bench.leave(4001, "bye")
    for backend in bench.backends:
        backend.go_down()
    await bench.until_ended()
    assert ends(bench.blue) == [(4001, "bye", LEFT)]


@on_virtual_clock
async def test_a_closed_backend_gets_no_end() -> None:
    bench = await RelayBench().open()
    bench.drop()
    await bench.green.connection()
    await bench.pooled[0].close()
    bench.leave(1000)
    await bench.until_ended()
    assert ends(bench.blue) == []
    assert ends(bench.green) == [(1000, "", LEFT)]


@on_virtual_clock
async def test_closed_backends_are_not_remembered() -> None:
    bench = await RelayBench(*(FakeBackend(name) for name in ("a", "b", "c"))).open()
    async with asyncio.timeout(600):
        while not all(backend.connections for backend in bench.backends):
            await lose(bench)
    first, second, third = bench.pooled
    assert remembered(bench) == {first, second, third}
    for pooled in bench.pooled:
        if pooled is not bench.session.backend:
            pooled.enabled = False
            await pooled.close()
    late = FakeBackend("late")
    bench.pool.add(PooledBackend("late", late))
    serving = bench.session.backend
    await lose(bench)
    await late.connection()
    assert remembered(bench) == {serving, bench.session.backend}


@on_virtual_clock
async def test_a_fault_in_one_backend_does_not_keep_it_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Faulty(FakeBackend):
        def session_ended(self, session_id: str, close: Close, cause: CloseCause) -> None:
            raise ValueError("oh")

    bench = await RelayBench(Faulty("blue"), FakeBackend("green")).open()
    bench.drop()
    await bench.green.connection()
    with caplog.at_level(logging.ERROR):
        bench.session.close(1000)
    assert ends(bench.green) == [(1000, "", ENDED)]
    assert "backend blue: its plugin raised an error in session_ended: ValueError" in caplog.text
    assert bench.ended


def test_backends_that_do_not_want_to_hear_are_not_remembered() -> None:
    class Deaf:
        async def open(self) -> None: ...

        async def connect(self, request: DialRequest, sink: Sink) -> BackendConnection:
            raise NotImplementedError

        async def probe(self) -> None: ...

        async def close(self) -> None: ...

    acceptances = Acceptances("session-1")
    acceptances.note(PooledBackend("deaf", Deaf()))
    assert acceptances._backends == ()  # noqa: SLF001 - as above
    acceptances.end(Close(1000), ENDED)


# Sessions that never begin


@on_virtual_clock
async def test_a_backend_that_accepted_too_late_gets_the_end_too() -> None:
    """Another backend was dialled in parallel and was faster."""
    bench = await RelayBench(Stubborn("blue"), FakeBackend("green")).open()
    await idle()
    assert bench.session.backend_id == "green"
    assert bench.blue.connections[0].close_cause is MOVES
    assert ends(bench.blue) == []
    bench.leave(1000)
    await bench.until_ended()
    assert ends(bench.blue) == ends(bench.green) == [(1000, "", LEFT)]


@on_virtual_clock
async def test_a_client_that_leaves_during_the_dial_ends_the_session() -> None:
    """The backend accepts at the moment at which the dial is cancelled."""
    bench = RelayBench(Stubborn("blue"))
    dial = asyncio.create_task(bench.dial())
    await asyncio.sleep(1)
    dial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dial
    await idle()
    assert bench.blue.connections[0].close_request is not None
    assert ends(bench.blue) == [(1001, "client left", LEFT)]


@on_virtual_clock
async def test_a_decline_after_another_backend_accepted_ends_the_session() -> None:
    bench = RelayBench()
    bench.blue.will(Accept(subprotocol="never offered"))
    bench.green.will(Decline(403))
    await bench.open()  # the first dial takes any choice
    bench.drop()
    await bench.until_ended()
    assert ends(bench.blue) == [(1008, "declined by the backend with status 403", ENDED)]
    assert ends(bench.green) == []


@on_virtual_clock
async def test_no_backend_gets_the_end_of_a_session_that_none_accepted() -> None:
    bench = RelayBench()
    for backend in bench.backends:
        backend.will(Unavailable())
    with pytest.raises(NoBackend):
        await bench.dial()
    assert ends(bench.blue) == ends(bench.green) == []


@on_virtual_clock
async def test_a_valve_that_closes_an_unanswered_client_ends_the_session() -> None:
    views: list[Session] = []

    def make(view: Session) -> PassingValve:
        views.append(view)
        return PassingValve(view)

    bench = RelayBench(valves=(valve(make),))
    bench.blue.will(Accept(after=1.0))
    dial = asyncio.create_task(bench.dial())
    await idle()
    views[0].close(4000, "no")
    with pytest.raises(ClosedWhileOpening):
        await dial
    await idle()
    assert ends(bench.blue) == [(4000, "no", ENDED)]


# An earlier connection that has not finished


@on_virtual_clock
async def test_connect_may_come_while_an_earlier_connection_is_ending() -> None:
    bench = await RelayBench(FakeBackend("only", answer_close=False)).open()
    bench.say("A")
    bench.session.fail_over()
    second = await bench.blue.connection(2)
    first, refused = bench.blue.connections[:2]
    assert not refused.started
    assert first.close_cause is refused.close_cause is MOVES
    assert first.ended is None
    assert second.texts == ["A"]
    first.confirm_close()  # its reports no longer belong to the session
    assert bench.session.unacknowledged == 1
    assert bench.session.backend is bench.pooled[0]
    second.acknowledge()
    bench.say("B")
    assert second.texts == ["A", "B"]
    assert ends(bench.blue) == []
