"""A client that leaves loses nothing: what it has sent reaches a backend, and then its close."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import TEXT, Close, Message, ReplyExpected, SentOnce, Session
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import Accept, Decline, FakeBackend, Hang, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, valve


def now() -> float:
    return asyncio.get_running_loop().time()


class TestWithALiveBackend:
    @on_virtual_clock
    async def test_the_close_comes_behind_the_messages(self) -> None:
        bench = await RelayBench().open()
        bench.say("A", "B")
        bench.leave(4000, "bye")
        connection = bench.blue.connections[0]
        assert connection.texts == ["A", "B"]
        connection.acknowledge(1)
        assert connection.close_request != Close(
            4000, "bye"
        )  # its answer would acknowledge what is not read
        connection.acknowledge(1)
        assert connection.close_request == Close(4000, "bye")
        await bench.until_ended()
        assert connection.ignored == []
        assert bench.counters.undelivered.value == 0
        assert bench.client.closed is None  # the client's socket answers by itself

    @on_virtual_clock
    async def test_with_nothing_undelivered_the_close_is_passed_on_at_once(self) -> None:
        bench = await RelayBench().open()
        bench.say("A")
        connection = bench.blue.connections[0]
        connection.acknowledge()
        bench.leave(4000, "bye")
        assert connection.close_request == Close(4000, "bye")

    @on_virtual_clock
    async def test_a_backend_that_ends_the_session_first_acknowledges_nothing(self) -> None:
        bench = await RelayBench(FakeBackend(answer_close=False)).open()
        bench.say("A", "B")
        bench.leave()
        bench.blue.connections[0].hang_up(1000)
        assert bench.ended
        assert bench.counters.undelivered.value == 2

    @on_virtual_clock
    async def test_replies_after_the_clients_close_are_refused(self) -> None:
        bench = await RelayBench(FakeBackend(answer_close=False)).open()
        bench.leave()
        assert bench.session.state is State.FLUSHING
        assert not bench.blue.connections[0].reply("too late")
        assert bench.client.sent_messages == 0

    @on_virtual_clock
    async def test_the_wait_for_the_backends_answer_ends_at_the_close_timeout(self) -> None:
        bench = await RelayBench(
            FakeBackend(answer_close=False), limits=LimitOptions(close_timeout=10)
        ).open()
        started = now()
        bench.leave()
        await bench.until_ended()
        assert now() - started == pytest.approx(10, abs=0.02)

    @on_virtual_clock
    async def test_the_wait_for_acknowledgements_ends_at_the_close_timeout(self) -> None:
        bench = await RelayBench(
            FakeBackend(answer_close=False), limits=LimitOptions(close_timeout=10)
        ).open()
        bench.say("A", "B", "C")
        bench.blue.connections[0].acknowledge(1)
        started = now()
        bench.leave()
        await bench.until_ended()
        assert now() - started == pytest.approx(10, abs=0.02)
        assert bench.counters.undelivered.value == 2
        assert bench.blue.connections[0].close_request == Close(1000)

    @on_virtual_clock
    async def test_a_backend_paused_for_its_slow_client_is_read_again(self) -> None:
        bench = await RelayBench().open()
        connection = bench.blue.connections[0]
        bench.session.client_writable(False)
        bench.say("A")
        bench.leave()
        assert not connection.paused  # it may have to write before it reads
        connection.acknowledge()
        await idle()
        assert bench.ended
        assert bench.counters.undelivered.value == 0


class TestWithADeadBackend:
    @on_virtual_clock
    async def test_messages_and_close_reach_the_next_backend(self) -> None:
        bench = await RelayBench().open()
        messages = [f"message {number}" for number in range(500)]
        bench.say(*messages)
        bench.leave(4000, "bye")
        bench.drop()
        connection = await bench.green.connection()
        assert connection.texts == messages
        connection.acknowledge()
        assert connection.close_request == Close(4000, "bye")
        await bench.until_ended()
        assert bench.counters.undelivered.value == 0

    @on_virtual_clock
    async def test_messages_and_close_reach_the_next_backend_of_a_failover_under_way(self) -> None:
        bench = await RelayBench().open()
        bench.say("A")
        bench.blue.go_down()
        bench.green.go_down()
        await asyncio.sleep(2)
        bench.say("B")
        bench.leave(4000, "bye")
        assert bench.session.state is State.FLUSH_HOLDING
        await asyncio.sleep(2)
        bench.green.come_up()
        connection = await bench.green.connection()
        assert connection.texts == ["A", "B"]
        connection.acknowledge()
        assert connection.close_request == Close(4000, "bye")
        await bench.until_ended()
        assert bench.counters.undelivered.value == 0

    @on_virtual_clock
    async def test_with_nothing_undelivered_the_session_ends_at_once(self) -> None:
        bench = await RelayBench().open()
        bench.say("A")
        bench.blue.connections[0].acknowledge()
        bench.blue.go_down()
        bench.green.otherwise = Hang()
        await bench.green.until_dialled(1)
        bench.leave()
        assert bench.ended
        await idle()
        assert bench.green.cancelled == 1
        assert len(asyncio.all_tasks()) == 1

    @on_virtual_clock
    async def test_with_nothing_undelivered_a_loss_while_closing_ends_the_session(self) -> None:
        bench = await RelayBench(FakeBackend(answer_close=False)).open()
        bench.say("A")
        bench.blue.connections[0].acknowledge()
        bench.leave()
        bench.drop()
        assert bench.ended
        assert bench.counters.failovers.value == 0
        assert not bench.pooled[0].absence.is_away  # it has perhaps only ended the connection

    @on_virtual_clock
    async def test_messages_survive_several_deaths(self) -> None:
        backends = [FakeBackend(name, answer_close=False) for name in ("blue", "green")]
        bench = await RelayBench(*backends).open()
        bench.say("A", "B")
        bench.leave(1000)
        for turn in range(2):
            connection = await bench.backends[turn % 2].connection(turn // 2)
            assert connection.texts == ["A", "B"]
            assert connection.close_request is None
            connection.drop()
        last = await bench.blue.connection(1)
        last.acknowledge()
        last.confirm_close()
        assert bench.ended
        assert bench.counters.undelivered.value == 0

    @on_virtual_clock
    async def test_a_message_of_a_valve_behind_the_close_and_the_close_reach_the_next(self) -> None:
        views: list[Session] = []

        def make(view: Session) -> PassingValve:
            views.append(view)
            return PassingValve(view)

        blue, green = FakeBackend("blue", answer_close=False), FakeBackend("green")
        bench = await RelayBench(blue, green, valves=[valve(make)]).open()
        bench.leave(4000, "bye")
        assert blue.connections[0].close_request == Close(4000, "bye")
        views[0].send_to_backend(as_message("A"))
        assert blue.connections[0].texts == []
        bench.drop()
        connection = await green.connection()
        assert connection.texts == ["A"]
        assert connection.close_request != Close(4000, "bye")
        connection.acknowledge()
        assert connection.close_request == Close(4000, "bye")
        await bench.until_ended()
        assert bench.counters.undelivered.value == 0

    @on_virtual_clock
    async def test_the_close_timeout_ends_the_session_and_counts_the_rest(self) -> None:
        bench = await RelayBench(limits=LimitOptions(close_timeout=10)).open()
        bench.say("A", "B", "C")
        bench.blue.connections[0].acknowledge(1)
        bench.blue.go_down()
        bench.green.otherwise = Hang()
        await asyncio.sleep(5)
        started = now()
        bench.leave()
        await bench.until_ended()
        assert now() - started == pytest.approx(10, abs=0.02)
        assert bench.counters.undelivered.value == 2
        await idle()
        assert len(asyncio.all_tasks()) == 1
        dials = len(bench.blue.requests)
        await asyncio.sleep(100)
        assert len(bench.blue.requests) == dials

    @on_virtual_clock
    async def test_the_end_of_the_hold_ends_the_session_and_counts_the_rest(self) -> None:
        bench = await RelayBench(
            failover=FailoverOptions(hold=3), limits=LimitOptions(close_timeout=10)
        ).open()
        bench.say("A")
        bench.blue.go_down()
        bench.green.go_down()
        bench.leave()
        await bench.until_ended()
        assert now() == pytest.approx(3, abs=0.02)
        assert bench.counters.undelivered.value == 1
        assert bench.client.closes == []

    @on_virtual_clock
    async def test_a_decline_ends_the_session_and_counts_the_rest(self) -> None:
        bench = await RelayBench().open()
        bench.say("A")
        bench.green.will(Decline(403, after=1))
        bench.drop()
        bench.leave()
        await bench.until_ended()
        assert bench.counters.undelivered.value == 1
        assert bench.client.closes == []

    @on_virtual_clock
    async def test_where_the_loss_leaves_nothing_owed_no_other_is_looked_for(self) -> None:
        bench = await RelayBench().open()
        bench.say(SentOnce(TEXT, b"A"))
        bench.leave()
        assert bench.session.state is State.FLUSHING
        bench.drop()
        assert bench.ended
        await idle()
        assert not bench.green.requests
        assert bench.counters.failovers.value == 0

    @on_virtual_clock
    async def test_nor_where_nothing_is_sent_twice(self) -> None:
        bench = await RelayBench(failover=FailoverOptions(delivery="at-most-once")).open()
        bench.say("A")
        bench.leave()
        bench.drop()
        assert bench.ended
        await idle()
        assert not bench.green.requests
        assert bench.counters.undelivered.value == 1
        assert bench.counters.failovers.value == 0

    @on_virtual_clock
    async def test_a_reply_that_comes_out_of_a_valve_meanwhile_leaves_nothing_owed(self) -> None:
        class SlowlyAsking(PassingValve):
            """Expects a reply to each message, and takes a second to read it."""

            def before_transmit(self, message: Message) -> Message:
                return ReplyExpected(message.kind, message.data, message.text, expires=100)

            async def after_receive(self, message: Message) -> Message:  # type: ignore[override]  # both are allowed
                await asyncio.sleep(1)
                self.view.answered(message.text)
                return message

        bench = await RelayBench(valves=(valve(SlowlyAsking),)).open()
        bench.say("A")
        bench.blue.connections[0].reply("A")
        bench.leave(4000, "bye")
        bench.green.will(Accept(after=2))
        bench.drop()
        connection = await bench.green.connection()
        await bench.until_ended()
        assert now() == pytest.approx(2, abs=0.1)
        assert connection.texts == []
        assert connection.close_request == Close(4000, "bye")
        assert bench.counters.undelivered.value == 0
