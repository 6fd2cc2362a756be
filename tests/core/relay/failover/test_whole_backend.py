"""A plugin's reports on its whole backend, and its replies to sessions that have moved."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import Close, DialRequest, Message, ReplyOutcome, Sink
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.pool.backends.whole_backend import WholeBackend
from wsgw_core.relay.session.session import Session
from wsgw_core.spread_calls import AT_ONCE
from wsgw_core.testing.fakes import (
    Accept,
    FakeBackend,
    FakeClient,
    FakeConnection,
    Unavailable,
    as_message,
)
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, replayed, valve


def control_of(bench: RelayBench, number: int = 0) -> WholeBackend:
    control = WholeBackend(bench.table)
    control.serve(bench.pooled[number])
    return control


async def many(bench: RelayBench, count: int) -> list[tuple[Session, FakeClient]]:
    """Open sessions beside the bench's own."""
    opened = []
    for _ in range(count):
        session = Session(f"other-{len(bench.table)}", bench.handshake, bench.context)
        await session.open()
        client = FakeClient()
        session.start(client)
        opened.append((session, client))
    await idle()
    return opened


class TestDown:
    @staticmethod
    @on_virtual_clock
    async def test_its_sessions_leave_a_few_in_each_turn_and_no_message_is_suspected() -> None:
        bench = await RelayBench(FakeBackend("only")).open()
        others = await many(bench, 30)
        control = control_of(bench)
        for round_ in range(8):  # more deaths than a message survives
            bench.say(f"A{round_}")
            for session, _ in others:
                session.client_message(as_message(f"B{round_}"))
            control.down("broker lost")
            assert bench.pooled[0].active == 31  # not from inside of the call
            await asyncio.sleep(0)
            assert bench.pooled[0].active == 31 - AT_ONCE
            await asyncio.sleep(0)
            assert bench.pooled[0].active == 0
            await asyncio.sleep(5)
            assert bench.pooled[0].active == 31
        assert bench.client.closed is None
        assert all(client.closed is None for _, client in others)
        connection = bench.blue.connections[-1]
        assert {connection.texts[0] for connection in bench.blue.connections[-31:]} == {"A0", "B0"}
        assert bench.counters.poisoned.value == 0
        assert connection.ended is None

    @staticmethod
    @on_virtual_clock
    async def test_connections_of_a_lost_backend_are_neither_called_nor_heard() -> None:
        bench = await RelayBench(FakeBackend("blue"), FakeBackend("green")).open()
        bench.say("A")
        lost = bench.blue.connections[0]
        control_of(bench).down("broker lost")
        moved = await bench.green.connection()
        assert lost.close_request is None
        lost.reply("too late")
        lost.acknowledge()
        lost.drop()
        assert bench.client.texts == []
        assert bench.session.unacknowledged == 1
        assert moved.texts == ["A"]
        assert replayed(moved.request) == 1

    @staticmethod
    @on_virtual_clock
    async def test_sessions_of_other_backends_stay() -> None:
        bench = await RelayBench().open()
        control_of(bench, 1).down("broker lost")
        await asyncio.sleep(5)
        assert bench.session.backend is bench.pooled[0]
        assert bench.session.reconnects == 0

    @staticmethod
    @on_virtual_clock
    async def test_new_clients_are_refused_until_it_is_up() -> None:
        bench = await RelayBench(FakeBackend("only")).open()
        bench.blue.otherwise = Unavailable("no broker")
        control = control_of(bench)
        control.down("broker lost")
        await idle()
        with pytest.raises(Exception, match="no backend"):
            await bench.dial()
        dials = len(bench.blue.requests)
        assert dials == 2  # the first of the session, and the probe
        bench.blue.otherwise = Accept()
        control.up()
        await bench.dial()

    @staticmethod
    @on_virtual_clock
    async def test_few_dials_per_second_find_the_backend_and_all_sessions_return_soon() -> None:
        bench = await RelayBench(FakeBackend("only")).open()
        others = await many(bench, 99)
        bench.blue.otherwise = Unavailable("no broker")
        control_of(bench).down("broker lost")
        before = len(bench.blue.requests)
        await asyncio.sleep(12)
        # Five a second: probes come about every 150 ms, dials of waiting sessions every 100 ms.
        assert len(bench.blue.requests) - before <= 12 * 5.5
        bench.blue.come_up()
        await asyncio.sleep(0.5)
        assert bench.session.backend is not None
        assert all(session.backend is not None for session, _ in others)
        assert bench.pooled[0].active == 100

    @staticmethod
    @on_virtual_clock
    async def test_a_session_whose_client_is_not_answered_yet_fails_over_at_its_start() -> None:
        bench = RelayBench()
        await bench.dial()
        control_of(bench).down("broker lost")
        await idle()
        bench.session.start(bench.client)
        bench.session.client_message(as_message("A"))
        connection = await bench.green.connection()
        assert connection.texts == ["A"]
        assert not bench.blue.connections[0].started
        assert bench.pooled[0].active == 0

    @staticmethod
    @on_virtual_clock
    async def test_a_session_that_was_dialled_but_not_started_can_be_closed() -> None:
        bench = RelayBench()
        await bench.dial()
        control_of(bench).down("broker lost")
        await idle()
        bench.session.close(1001, "client left")
        assert bench.ended
        assert bench.pooled[0].active == 0

    @staticmethod
    @on_virtual_clock
    async def test_a_connection_that_was_dialled_before_the_loss_is_lost_too() -> None:
        """The dial has ended, and the session has not taken its connection yet."""
        bench = await RelayBench().open()
        control = control_of(bench, 1)

        class Losing(FakeBackend):
            async def connect(self, request: DialRequest, sink: Sink) -> FakeConnection:
                connection = await super().connect(request, sink)
                asyncio.get_running_loop().call_soon(control.down, "broker lost")
                return connection

        losing = Losing("green")
        bench.pooled[1].backend = losing
        bench.say("A")
        bench.drop()
        await asyncio.sleep(5)
        assert len(losing.connections) >= 1
        assert not losing.connections[0].started or losing.connections[0].texts == ["A"]
        assert bench.session.backend is bench.pooled[0]
        assert bench.blue.connections[1].texts == ["A"]

    @staticmethod
    @on_virtual_clock
    async def test_a_backend_going_down_is_no_failure_of_its_connections() -> None:
        bench = await RelayBench(breaker_threshold=1).open()
        control_of(bench).down("broker lost")  # before the connection has proved itself
        await bench.green.connection()
        assert bench.pooled[0].failures == 0
        assert not bench.pooled[0].breaker.tripped

    @staticmethod
    @on_virtual_clock
    async def test_a_backend_may_go_down_inside_send() -> None:
        bench = await RelayBench().open()
        control = control_of(bench)
        connection = bench.blue.connections[0]
        plain_send = connection.send

        def send(message: Message, /) -> None:
            plain_send(message)
            control.down("broken pipe")

        connection.send = send  # type: ignore[method-assign]  # as a broker kind would
        bench.session.fail_over()
        bench.session.fail_over()
        await asyncio.sleep(2)
        bench.say("A", "B", "C")
        await asyncio.sleep(2)
        serving = next(each for each in bench.backends if each.connections[-1].ended is None)
        assert "C" in serving.connections[-1].texts

    @staticmethod
    @on_virtual_clock
    async def test_a_client_that_has_left_still_has_its_messages_delivered_elsewhere() -> None:
        bench = await RelayBench().open()
        bench.say("A")
        bench.leave(4001, "bye")
        control_of(bench).down("broker lost")
        connection = await bench.green.connection()
        assert connection.texts == ["A"]
        connection.acknowledge()
        await bench.until_ended()
        assert connection.close_request == Close(4001, "bye")

    @staticmethod
    @on_virtual_clock
    async def test_a_session_that_leaves_as_planned_goes_on_elsewhere() -> None:
        bench = await RelayBench(
            FakeBackend("blue", answer_close=False), FakeBackend("green")
        ).open()
        assert bench.session.move()
        await bench.blue.connections[0].until_close_requested()
        control_of(bench).down("broker lost")
        await bench.green.connection()
        assert bench.session.backend is bench.pooled[1]


class TestWritable:
    @staticmethod
    @on_virtual_clock
    async def test_an_unwritable_backend_pauses_reading_the_clients_of_all_its_sessions() -> None:
        bench = await RelayBench(FakeBackend("only")).open()
        ((_, client),) = await many(bench, 1)
        control = control_of(bench)
        control.writable(False)
        await idle()
        assert not bench.is_reading()
        assert not client.reading
        ((_, late),) = await many(bench, 1)
        assert not late.reading
        control.writable(True)
        await client.until_reading(True)
        await late.until_reading(True)
        assert bench.is_reading()

    @staticmethod
    @on_virtual_clock
    async def test_reading_resumes_only_when_backend_and_connection_are_writable() -> None:
        bench = await RelayBench().open()
        control = control_of(bench)
        bench.blue.connections[0].set_writable(False)
        control.writable(False)
        await idle()
        control.writable(True)
        await idle()
        assert not bench.is_reading()
        bench.blue.connections[0].set_writable(True)
        assert bench.is_reading()

    @staticmethod
    @on_virtual_clock
    async def test_a_session_that_moves_away_is_read_again() -> None:
        bench = await RelayBench().open()
        control_of(bench).writable(False)
        await idle()
        assert not bench.is_reading()
        bench.session.fail_over()
        await bench.green.connection()
        assert bench.is_reading()

    @staticmethod
    @on_virtual_clock
    async def test_a_backend_that_has_gone_down_is_writable_when_it_is_back() -> None:
        bench = await RelayBench(FakeBackend("only")).open()
        control = control_of(bench)
        control.writable(False)
        control.down("broker lost")
        await asyncio.sleep(2)
        assert bench.session.backend is not None
        assert bench.is_reading()

    @staticmethod
    @on_virtual_clock
    async def test_a_session_that_ends_while_the_backend_is_unwritable_is_no_fault() -> None:
        bench = await RelayBench().open()
        control = control_of(bench)
        control.writable(False)
        bench.session.close(1000)
        await idle()
        control.writable(True)
        await idle()
        assert bench.ended


class TestDeliver:
    @staticmethod
    @on_virtual_clock
    async def test_a_late_reply_reaches_a_session_that_has_moved_through_its_valves() -> None:
        class Signing(PassingValve):
            def after_receive(self, message: Message) -> Message | None:
                return as_message(f"{message.text}, yours")

        bench = await RelayBench(valves=(valve(Signing),)).open()
        control = control_of(bench)
        bench.session.fail_over()
        await bench.green.connection()
        assert control.deliver("session-1", as_message("late")) is ReplyOutcome.TAKEN
        assert bench.client.texts == ["late, yours"]

    @staticmethod
    @on_virtual_clock
    async def test_delivery_to_an_unknown_session_returns_unknown_session() -> None:
        bench = await RelayBench().open()
        control = control_of(bench)
        assert control.deliver("nobody", as_message("late")) is ReplyOutcome.UNKNOWN_SESSION
        bench.session.close(1000)
        assert control.deliver("session-1", as_message("late")) is ReplyOutcome.UNKNOWN_SESSION

    @staticmethod
    @on_virtual_clock
    async def test_delivery_to_a_slow_client_returns_slow_client_and_sends_nothing() -> None:
        bench = await RelayBench().open()
        bench.session.client_writable(False)
        outcome = control_of(bench).deliver("session-1", as_message("late"))
        assert outcome is ReplyOutcome.SLOW_CLIENT
        bench.session.client_writable(True)
        assert bench.client.texts == []

    @staticmethod
    @on_virtual_clock
    async def test_delivery_of_a_too_large_message_returns_too_large() -> None:
        bench = await RelayBench(limits=LimitOptions(max_message_size=5)).open()
        outcome = control_of(bench).deliver("session-1", as_message("larger"))
        assert outcome is ReplyOutcome.TOO_LARGE


@on_virtual_clock
async def test_reports_before_the_backend_is_pooled_have_no_effect() -> None:
    bench = await RelayBench().open()
    control = WholeBackend(bench.table)
    control.down("too early")
    control.writable(False)
    control.up()
    await idle()
    assert bench.session.backend is bench.pooled[0]
    assert bench.is_reading()
