"""When a backend is lost, another one gets what it has not acknowledged."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise
from typing import ClassVar

import pytest

from wsgw_core.api import Close, Session, UnusableAnswer
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import Accept, Decline, FakeBackend, Fault, Hang, Unavailable
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RecordingListener, RelayBench, replayed


class DropsTheNew(RecordingListener):
    """Drops each new connection before it is started."""

    backend: ClassVar[FakeBackend]

    def session_failed_over(self, session: Session, old: str | None, new: str) -> None:
        if new == self.backend.backend_id:
            self.backend.connections[-1].drop()


def now() -> float:
    return asyncio.get_running_loop().time()


class TestReplay:
    @on_virtual_clock
    async def test_only_unacknowledged_messages_are_sent_again_and_before_new_ones(self) -> None:
        bench = await RelayBench().open()
        bench.say("A", "B", "C", b"D")
        bench.blue.connections[0].acknowledge(2)
        bench.drop()
        bench.say("E")
        connection = await bench.green.connection()
        bench.say("F")
        assert [message.data for message in connection.received] == [b"C", b"D", b"E", b"F"]
        assert bench.client.closed is None
        assert bench.session.view().reconnects == 1

    @on_virtual_clock
    async def test_the_replacement_acknowledges_what_it_was_given(self) -> None:
        bench = await RelayBench().open()
        bench.say("A", "B")
        bench.drop()
        connection = await bench.green.connection()
        bench.say("C")
        connection.acknowledge(1)
        connection.drop()
        assert (await bench.blue.connection(1)).texts == ["B", "C"]

    @on_virtual_clock
    async def test_the_second_dial_has_reconnect_and_replay_headers(self) -> None:
        bench = RelayBench(headers=(("X-A", "1"),), subprotocols=("chat", "soap"))
        bench.blue.will(Accept("soap"))
        bench.green.will(Accept("soap"))
        await bench.open()
        bench.say("A", "B", "C")
        bench.blue.connections[0].acknowledge(1)
        bench.drop()
        bench.say("new")
        request = await bench.green.until_dialled(1)
        assert request.reconnect
        assert replayed(request) == 2
        assert request.headers == (
            ("X-A", "1"),
            ("X-Wsgw-Session", "session-1"),
            ("X-Balancer-Reconnect", "1"),
            ("X-Wsgw-Replayed", "2"),
        )
        assert (request.session_id, request.path) == ("session-1", "/chat?room=1")
        assert request.subprotocols == ("soap",)
        assert request.peer == "192.0.2.1:5555"

    @on_virtual_clock
    async def test_without_a_subprotocol_none_is_offered_again(self) -> None:
        bench = await RelayBench(subprotocols=("chat",)).open()
        bench.drop()
        assert (await bench.green.until_dialled(1)).subprotocols == ()

    @on_virtual_clock
    async def test_messages_sent_during_the_hold_do_not_count_as_replayed(self) -> None:
        bench = await RelayBench().open()
        bench.say("A")
        bench.blue.go_down()
        bench.green.go_down()
        await asyncio.sleep(1)
        bench.say("B", "C")
        bench.green.come_up()
        connection = await bench.green.connection()
        assert replayed(connection.request) == 1
        assert connection.texts == ["A", "B", "C"]
        assert bench.counters.replayed.value == 1

    @on_virtual_clock
    async def test_replies_that_were_read_reach_the_client_first(self) -> None:
        bench = await RelayBench().open()
        connection = bench.blue.connections[0]
        bench.session.client_writable(False)
        connection.reply("from blue")  # waits in the connection, which is paused
        connection.drop()
        bench.session.client_writable(True)
        (await bench.green.connection()).reply("from green")
        await bench.client.until_received(2)
        assert bench.client.texts == ["from blue", "from green"]


class TestWhichBackend:
    @on_virtual_clock
    async def test_the_lost_backend_is_dialled_last(self) -> None:
        bench = await RelayBench(*(FakeBackend(name) for name in "abcd")).open()
        for backend in bench.backends[1:]:
            backend.will(Unavailable())
        bench.drop()
        await bench.backends[0].connection(1)
        assert [len(backend.requests) for backend in bench.backends] == [2, 1, 1, 1]
        assert bench.session.backend_id == "a"

    @on_virtual_clock
    async def test_the_lost_backend_is_dialled_last_in_every_round_robin_order(self) -> None:
        bench = await RelayBench().open()
        for loser, heir in ((0, 1), (1, 0), (0, 1), (1, 0)):
            before = len(bench.backends[loser].requests)
            bench.drop(bench.backends[loser])
            await asyncio.sleep(10)
            assert len(bench.backends[loser].requests) == before
            assert bench.session.backend_id == bench.backends[heir].backend_id

    @on_virtual_clock
    async def test_a_lost_only_backend_is_dialled_again(self) -> None:
        bench = await RelayBench(FakeBackend("only")).open()
        bench.say("A")
        bench.drop()
        assert (await bench.blue.connection(1)).texts == ["A"]

    @on_virtual_clock
    async def test_a_disabled_backend_is_not_dialled(self) -> None:
        bench = await RelayBench().open()
        bench.pooled[1].enabled = False
        bench.drop()
        await bench.blue.connection(1)
        assert bench.green.requests == []

    @on_virtual_clock
    async def test_a_disabled_backend_keeps_its_sessions(self) -> None:
        bench = await RelayBench().open()
        bench.pooled[0].enabled = False
        bench.say("A")
        await asyncio.sleep(100)
        assert bench.blue.connections[0].texts == ["A"]


class TestHold:
    @on_virtual_clock
    async def test_dials_are_repeated_with_growing_jittered_pauses(self) -> None:
        options = FailoverOptions(backoff=0.1, max_backoff=1.0, hold=30)
        bench = await RelayBench(FakeBackend("only"), failover=options).open()
        times: list[float] = []
        bench.blue.otherwise = Unavailable("busy", error=UnusableAnswer)
        bench.drop()

        async def watch() -> None:
            for count in range(2, 100):
                await bench.blue.until_dialled(count)
                times.append(now())

        watching = asyncio.create_task(watch())
        await bench.client.until_closed()
        watching.cancel()
        assert times[0] == 0  # the first at once
        pauses = [after - before for before, after in pairwise(times)]
        expected = 0.1
        for pause in pauses:
            assert expected / 2 <= pause <= expected + 1e-6
            expected = min(expected * 2, 1.0)
        late = pauses[5:]
        assert len({round(pause, 6) for pause in late}) > len(late) // 2  # jittered

    @on_virtual_clock
    async def test_the_end_of_the_hold_closes_the_client_with_1013(self) -> None:
        bench = await RelayBench(failover=FailoverOptions(hold=30)).open()
        bench.say("A", "B")
        started = now()
        bench.blue.go_down()
        bench.green.go_down()
        assert await bench.client.until_closed() == Close(1013, "no backend available")
        assert now() - started == pytest.approx(30)
        assert bench.ended
        assert bench.counters.holds_expired.value == 1
        assert bench.counters.undelivered.value == 2
        dials = len(bench.blue.requests)
        await asyncio.sleep(100)
        assert len(bench.blue.requests) == dials

    @on_virtual_clock
    async def test_without_a_hold_the_session_ends_at_once_when_all_backends_are_down(self) -> None:
        bench = await RelayBench(failover=FailoverOptions(hold=0)).open()
        bench.drop()
        await bench.green.connection()
        bench.green.go_down()
        bench.blue.go_down()
        assert await bench.client.until_closed() == Close(1013, "no backend available")
        assert now() == 0

    @pytest.mark.parametrize("backends", [1, 2, 4])
    @on_virtual_clock
    async def test_hanging_dials_do_not_prolong_the_hold(self, backends: int) -> None:
        options = FailoverOptions(hold=30, dial_timeout=8)
        names = [f"backend-{number}" for number in range(backends)]
        bench = await RelayBench(*map(FakeBackend, names), failover=options).open()
        started = now()
        for backend in bench.backends:
            backend.otherwise = Hang()
        bench.drop()
        await bench.client.until_closed()
        assert now() - started == pytest.approx(30, abs=0.1)
        assert (
            sum(each.cancelled for each in bench.backends)
            == sum(len(each.requests) for each in bench.backends) - 1
        )

    @on_virtual_clock
    async def test_a_backend_that_comes_back_in_time_ends_the_hold(self) -> None:
        bench = await RelayBench(failover=FailoverOptions(hold=30)).open()
        bench.say("A")
        bench.blue.go_down()
        bench.green.go_down()
        await asyncio.sleep(25)
        bench.say("B")
        bench.green.come_up()
        assert (await bench.green.connection()).texts == ["A", "B"]
        await asyncio.sleep(100)
        assert bench.client.closed is None

    @on_virtual_clock
    async def test_a_backend_that_comes_back_during_the_dial_of_a_frozen_one_ends_the_hold(
        self,
    ) -> None:
        bench = await RelayBench(failover=FailoverOptions(hedge_after=2)).open()
        bench.say("A")
        bench.blue.otherwise = Hang()
        bench.green.go_down()
        bench.drop()
        await asyncio.sleep(4.5)
        bench.green.come_up()
        assert (await bench.green.connection()).texts == ["A"]
        assert now() <= 4.8
        await idle()
        assert len(bench.blue.requests) == 1 + bench.blue.cancelled == 2

    @on_virtual_clock
    async def test_a_fault_in_a_plugin_counts_as_unavailable(self) -> None:
        bench = await RelayBench().open()
        bench.green.will(Fault(LookupError("bug")))
        bench.say("A")
        bench.drop()
        assert (await bench.blue.connection(1)).texts == ["A"]


class TestFailoverDuringFailover:
    @on_virtual_clock
    async def test_a_backend_that_dies_at_its_start_is_replaced(self) -> None:
        bench = await RelayBench(listeners=(DropsTheNew(),)).open()
        DropsTheNew.backend = bench.green
        bench.say("A", "B")
        bench.drop()
        connection = await bench.blue.connection(1)
        assert connection.texts == ["A", "B"]
        assert replayed(connection.request) == 2

    @on_virtual_clock
    async def test_a_backend_that_dies_in_the_replay_is_replaced(self) -> None:
        bench = await RelayBench().open()
        bench.say("A", "B", "C", "D")
        bench.blue.connections[0].acknowledge(1)
        bench.drop()
        first = await bench.green.connection()
        first.acknowledge(2)
        first.drop()
        bench.say("E")
        second = await bench.blue.connection(1)
        assert first.texts == ["B", "C", "D"]
        assert second.texts == ["D", "E"]
        assert replayed(second.request) == 1

    @on_virtual_clock
    async def test_a_backend_that_dies_after_the_replay_is_replaced(self) -> None:
        bench = await RelayBench().open()
        bench.say("A")
        bench.drop()
        first = await bench.green.connection()
        bench.say("B")
        await asyncio.sleep(0.5)
        first.drop()
        second = await bench.blue.connection(1)
        assert second.texts == ["A", "B"]
        assert replayed(second.request) == 2
        assert bench.session.view().reconnects == 2

    @on_virtual_clock
    async def test_a_backend_that_accepts_and_drops_is_dialled_with_backoff(self) -> None:
        bench = await RelayBench(FakeBackend("only"), failover=FailoverOptions(hold=30)).open()
        bench.say("A")

        async def keep_dropping() -> None:
            for number in range(1000):
                (await bench.blue.connection(number)).drop()

        dropping = asyncio.create_task(keep_dropping())
        assert await bench.client.until_closed() == Close(1013, "no backend available")
        dropping.cancel()
        assert now() == pytest.approx(30, abs=0.1)
        assert 20 < len(bench.blue.connections) < 80  # one a second once the pause has grown
        # After three deaths the message waits for a backend that lasts.
        assert [each.texts for each in bench.blue.connections[:5]] == [["A"]] * 3 + [[]] * 2

    @on_virtual_clock
    async def test_without_a_hold_a_backend_that_accepts_and_drops_gets_one_more_dial(self) -> None:
        bench = await RelayBench(FakeBackend("only"), failover=FailoverOptions(hold=0)).open()
        bench.drop()
        (await bench.blue.connection(1)).drop()
        assert await bench.client.until_closed() == Close(1013, "no backend available")
        assert len(bench.blue.connections) == 2

    @on_virtual_clock
    async def test_a_connection_that_lasts_ends_the_failover(self) -> None:
        options = FailoverOptions(hold=3, stable=1, backoff=0.5, max_backoff=8)
        bench = await RelayBench(FakeBackend("only"), failover=options).open()
        for number in range(10):
            (await bench.blue.connection(number)).drop()
            # A new failover: dialled at once, and a new hold.
            await asyncio.sleep(0)
            before = now()
            await bench.blue.connection(number + 1)
            assert now() == before
            await asyncio.sleep(1.1)
        assert bench.client.closed is None

    @on_virtual_clock
    async def test_an_acknowledgement_restarts_the_hold_but_not_the_backoff(self) -> None:
        """Otherwise a backend that acknowledges and drops would be dialled without a pause."""
        options = FailoverOptions(hold=3, stable=1, backoff=0.5, max_backoff=2)
        bench = await RelayBench(FakeBackend("only"), failover=options).open()
        paused = 0.0
        for number in range(20):
            before = now()
            connection = await bench.blue.connection(number)
            paused = now() - before
            bench.say("A")
            await asyncio.sleep(0.5)
            connection.acknowledge(1)
            connection.drop()
        assert bench.client.closed is None
        assert 1 <= paused <= 2

    @on_virtual_clock
    async def test_without_a_hold_an_acknowledgement_gives_another_round(self) -> None:
        options = FailoverOptions(hold=0, backoff=0.5, max_backoff=2)
        bench = await RelayBench(FakeBackend("only"), failover=options).open()
        for number in range(5):
            connection = await bench.blue.connection(number)
            bench.say("A")
            await idle()
            connection.acknowledge(1)
            connection.drop()
        assert bench.client.closed is None
        (await bench.blue.connection(5)).drop()
        assert await bench.client.until_closed() == Close(1013, "no backend available")

    @on_virtual_clock
    async def test_a_failover_may_follow_long_after_another(self) -> None:
        bench = await RelayBench().open()
        for turn in range(6):
            serving = bench.backends[turn % 2].connections[-1]
            serving.acknowledge()
            bench.say(f"message {turn}")
            serving.drop()
            await asyncio.sleep(60)
        assert bench.client.closed is None
        assert bench.counters.failovers.value == 6
        assert bench.session.unacknowledged == 1
        assert bench.blue.connections[-1].texts == ["message 5"]


class TestDeclined:
    @on_virtual_clock
    async def test_a_decline_ends_the_session_with_1008(self) -> None:
        bench = await RelayBench().open()
        bench.say("A")
        bench.green.will(Decline(403))
        bench.drop()
        close = await bench.client.until_closed()
        assert close.code == 1008
        assert "403" in close.reason
        assert bench.ended
        assert len(bench.blue.requests) == 1
        assert bench.counters.undelivered.value == 1

    @pytest.mark.parametrize("status", [408, 421, 425, 429])
    @on_virtual_clock
    async def test_a_retry_status_dials_the_next_backend(self, status: int) -> None:
        bench = await RelayBench().open()
        bench.green.will(Decline(status))
        bench.say("A")
        bench.drop()
        assert (await bench.blue.connection(1)).texts == ["A"]

    @on_virtual_clock
    async def test_the_retry_statuses_are_configurable(self) -> None:
        bench = await RelayBench(failover=FailoverOptions(retry_statuses=(404,))).open()
        bench.green.will(Decline(404))
        bench.drop()
        await bench.blue.connection(1)
        bench.green.will(Decline(429))
        bench.drop()
        assert (await bench.client.until_closed()).code == 1008


class TestSubprotocol:
    @on_virtual_clock
    async def test_a_backend_that_chooses_another_subprotocol_counts_as_unavailable(self) -> None:
        bench = RelayBench(*(FakeBackend(name) for name in "abc"), subprotocols=("chat", "soap"))
        bench.backends[0].will(Accept("chat"))
        bench.backends[1].will(Accept("soap"))
        bench.backends[2].will(Accept("chat"))
        await bench.open()
        bench.say("A")
        bench.drop()
        connection = await bench.backends[2].connection()
        await idle()
        assert connection.texts == ["A"]
        refused = bench.backends[1].connections[0]
        assert not refused.started
        assert refused.received == []
        assert refused.close_request is not None
        assert bench.session.backend_id == "c"
        assert [each.active for each in bench.pooled] == [0, 0, 1]
        bench.say("B")
        assert connection.texts == ["A", "B"]

    @on_virtual_clock
    async def test_a_backend_that_chooses_no_subprotocol_counts_as_unavailable(self) -> None:
        bench = RelayBench(subprotocols=("chat",))
        bench.blue.otherwise = Accept("chat")
        await bench.open()
        bench.drop()
        await bench.blue.connection(1)
        assert len(bench.green.connections) == 1
        assert not bench.green.connections[0].started
        await asyncio.sleep(100)
        assert bench.session.backend_id == "blue"

    @on_virtual_clock
    async def test_a_backend_that_chooses_an_unoffered_subprotocol_counts_as_unavailable(
        self,
    ) -> None:
        bench = await RelayBench(subprotocols=("chat",)).open()
        bench.green.will(Accept("chat"))
        bench.drop()
        await bench.blue.connection(1)
        await asyncio.sleep(100)
        assert bench.session.backend_id == "blue"


class TestDisabled:
    @on_virtual_clock
    async def test_without_failover_an_abnormal_close_reaches_the_client(self) -> None:
        bench = await RelayBench(failover=FailoverOptions(enabled=False)).open()
        bench.say("A")
        bench.blue.connections[0].reply("1")
        bench.blue.connections[0].hang_up(1012, "restart", abnormal=True)
        assert bench.client.texts == ["1"]
        assert bench.client.closed == Close(1012, "restart")
        assert bench.ended
        await asyncio.sleep(100)
        assert bench.green.requests == []
        assert bench.counters.undelivered.value == 1

    @on_virtual_clock
    async def test_without_failover_a_silent_loss_closes_the_client_with_1012(self) -> None:
        bench = await RelayBench(failover=FailoverOptions(enabled=False)).open()
        bench.blue.connections[0].drop()
        assert bench.client.closed is not None
        assert bench.client.closed.code == 1012

    @on_virtual_clock
    async def test_the_close_code_of_a_loss_is_configurable(self) -> None:
        bench = await RelayBench(failover=FailoverOptions(enabled=False, loss_code=4500)).open()
        bench.blue.connections[0].drop()
        assert bench.client.closed is not None
        assert bench.client.closed.code == 4500

    @on_virtual_clock
    async def test_the_loss_of_a_whole_backend_closes_the_client_with_the_loss_code(self) -> None:
        bench = await RelayBench(failover=FailoverOptions(enabled=False, loss_code=1014)).open()
        bench.pooled[0].losses += 1
        bench.session.lose_backend(Close(1013, "link lost", abnormal=True))
        assert bench.client.closed == Close(1014, "link lost")

    @on_virtual_clock
    async def test_without_failover_a_breach_does_not_close_the_client_with_the_loss_code(
        self,
    ) -> None:
        bench = await RelayBench(failover=FailoverOptions(enabled=False)).open()
        bench.blue.connections[0].end(Close(1006, "bad frame", abnormal=True, breach=True))
        assert bench.client.closed is not None
        assert bench.client.closed.code == 1006  # 1011 on the wire

    @on_virtual_clock
    async def test_without_failover_messages_of_a_client_that_left_count_as_undelivered(
        self,
    ) -> None:
        bench = await RelayBench(
            FakeBackend(answer_close=False), failover=FailoverOptions(enabled=False)
        ).open()
        bench.say("A", "B")
        bench.leave()
        bench.drop()
        assert bench.ended
        assert bench.counters.undelivered.value == 2


class TestOldConnection:
    @on_virtual_clock
    async def test_reports_of_the_old_connection_have_no_effect(self) -> None:
        bench = await RelayBench(
            FakeBackend("blue", answer_close=False), FakeBackend("green")
        ).open()
        bench.say("A", "B")
        old = bench.blue.connections[0]
        bench.session.fail_over()
        new = await bench.green.connection(1)  # the first dial's request announced no replay
        assert asyncio.get_running_loop().time() == pytest.approx(1)  # the old one had its time
        assert not old.reply("too late")
        old.acknowledge()
        old.set_writable(False)
        old.drop()
        await idle()
        assert bench.client.texts == []
        assert bench.is_reading()
        assert bench.session.unacknowledged == 2
        assert bench.session.state is State.RELAYING
        assert new.texts == ["A", "B"]
        assert [replayed(each) for each in bench.green.requests] == [0, 2]
        assert not bench.green.connections[0].started
        assert bench.green.connections[0].close_request is not None

    @on_virtual_clock
    async def test_the_old_connection_does_not_count_as_active(self) -> None:
        bench = await RelayBench().open()
        bench.drop()
        assert [each.active for each in bench.pooled] == [0, 0]
        await bench.green.connection()
        assert [each.active for each in bench.pooled] == [0, 1]
        assert [each.total for each in bench.pooled] == [1, 1]


class TestByOperator:
    @on_virtual_clock
    async def test_fail_over_moves_the_session_and_closes_the_old_connection(self) -> None:
        bench = await RelayBench().open()
        bench.say("A", "B")
        bench.blue.connections[0].acknowledge(1)
        bench.session.view().fail_over()
        connection = await bench.green.connection()
        bench.say("C")
        assert connection.texts == ["C"]  # the old one has acknowledged the others by its end
        assert connection.request.reconnect
        assert replayed(connection.request) == bench.counters.replayed.value == 0
        assert bench.counters.failovers.value == 1
        assert asyncio.get_running_loop().time() == pytest.approx(0.5, abs=0.06)
        old = bench.blue.connections[0]
        assert old.close_request is not None
        assert old.close_request.code == 1001
        assert bench.client.closed is None

    @on_virtual_clock
    async def test_fail_over_has_no_effect_without_a_backend(self) -> None:
        bench = await RelayBench().open()
        bench.blue.go_down()
        bench.green.go_down()
        await asyncio.sleep(5)
        bench.session.view().fail_over()
        await asyncio.sleep(1)
        assert bench.session.state is State.HOLDING
        assert bench.session.view().backend_id is None
        bench.blue.come_up()
        await bench.blue.connection(1)
        assert bench.counters.failovers.value == 1

    @on_virtual_clock
    async def test_closing_ends_a_hold(self) -> None:
        bench = await RelayBench().open()
        bench.say("A")
        bench.blue.go_down()
        bench.green.otherwise = Hang()
        await bench.green.until_dialled(1)
        bench.session.view().close(1000, "operator")
        assert await bench.client.until_closed() == Close(1000, "operator")
        await idle()
        assert bench.ended
        assert bench.green.cancelled == 1
        assert len(asyncio.all_tasks()) == 1
        assert bench.counters.undelivered.value == 1

    @on_virtual_clock
    async def test_closing_twice_closes_once(self) -> None:
        bench = await RelayBench().open()
        bench.session.view().close(4001, "first")
        bench.session.view().close(4002, "second")
        await idle()
        assert bench.client.closed == Close(4001, "first")


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


class TestLog:
    @on_virtual_clock
    async def test_the_death_of_a_backend_is_one_warning_a_minute(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench = await RelayBench(FakeBackend("only")).open()
        for number in range(3):
            (await bench.blue.connection(number)).drop()
        connection = await bench.blue.connection(3)
        [record] = caplog.records
        assert record.getMessage() == (
            "backend only: a session moves on, because its connection has ended with "
            "1006 connection lost"
        )
        assert getattr(record, "backend", None) == "only"
        await asyncio.sleep(60)
        connection.drop()
        await bench.blue.connection(4)
        assert warnings_in(caplog)[1:] == [
            f"{warnings_in(caplog)[0]} (and 2 more since the last one)"
        ]

    @on_virtual_clock
    async def test_a_normal_end_is_no_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        bench = await RelayBench().open()
        bench.blue.connections[0].end(Close(1000, ""))
        await bench.client.until_closed()
        assert warnings_in(caplog) == []
