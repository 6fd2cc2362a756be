"""Valves see, change, discard and add messages; plain ones and asynchronous ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

import pytest

from wsgw_core.api import Close, CloseSession, Message, MessageValve, Session
from wsgw_core.components import ValveComponent
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.relay.session_state import State
from wsgw_core.testing.fakes import FakeBackend, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from .relay_bench import PassingValve, RecordingListener, RelayBench, valve

Act = Callable[[Session, Message], Message | None]


class Plain:
    """Does what the test says with each message, in either direction."""

    def __init__(self, view: Session, outward: Act, inward: Act) -> None:
        self._view = view
        self._outward = outward
        self._inward = inward

    def before_transmit(self, message: Message) -> Message | None:
        return self._outward(self._view, message)

    def after_receive(self, message: Message) -> Message | None:
        return self._inward(self._view, message)


class Slow:
    """The same, asynchronously; takes a second for each message."""

    def __init__(self, view: Session, outward: Act, inward: Act) -> None:
        self._view = view
        self._outward = outward
        self._inward = inward

    async def before_transmit(self, message: Message) -> Message | None:
        await asyncio.sleep(1)
        return self._outward(self._view, message)

    async def after_receive(self, message: Message) -> Message | None:
        await asyncio.sleep(1)
        return self._inward(self._view, message)


def passing(_view: Session, message: Message) -> Message | None:
    return message


def signing(mark: str) -> Act:
    return lambda _view, message: Message.from_text(message.text + mark)


MakeActing = Callable[..., ValveComponent]


@pytest.fixture(params=["plain", "asynchronous"])
def acting(request: pytest.FixtureRequest) -> MakeActing:
    """Configures a valve of either sort: `acting(outward, inward)`."""
    kind: type[Plain | Slow] = Plain if request.param == "plain" else Slow

    def configure(
        outward: Act = passing,
        inward: Act = passing,
        on_error: Literal["close", "discard"] = "close",
    ) -> ValveComponent:
        def make(view: Session) -> MessageValve:
            return kind(view, outward, inward)

        return valve(make, on_error)

    return configure


def plain(outward: Act = passing, inward: Act = passing) -> ValveComponent:
    return valve(lambda view: Plain(view, outward, inward))


def slow(outward: Act = passing, inward: Act = passing) -> ValveComponent:
    return valve(lambda view: Slow(view, outward, inward))


async def settle() -> None:
    """Give asynchronous valves the time for some messages."""
    await asyncio.sleep(9)


class TestPassing:
    @on_virtual_clock
    async def test_towards_the_backend_in_order_of_configuration_and_back_reversed(
        self, acting: MakeActing
    ) -> None:
        valves = (acting(signing(">1"), signing("<1")), acting(signing(">2"), signing("<2")))
        bench = await RelayBench(valves=valves).open()
        connection = bench.blue.connections[0]
        bench.say("A")
        connection.reply("B")
        await settle()
        assert connection.texts == ["A>1>2"]
        assert bench.client.texts == ["B<2<1"]

    @on_virtual_clock
    async def test_messages_stay_in_order(self, acting: MakeActing) -> None:
        bench = await RelayBench(valves=(acting(), acting())).open()
        connection = bench.blue.connections[0]
        bench.say(*"ABC")
        for reply in "123":
            connection.reply(reply)
        await settle()
        assert connection.texts == ["A", "B", "C"]
        assert bench.client.texts == ["1", "2", "3"]

    @on_virtual_clock
    async def test_a_plain_valve_beside_an_asynchronous_one(self) -> None:
        bench = await RelayBench(valves=(plain(signing("p")), slow(signing("s")))).open()
        bench.say("A", "B")
        await settle()
        assert bench.blue.connections[0].texts == ["Aps", "Bps"]

    @on_virtual_clock
    async def test_a_discarded_message_goes_nowhere(self, acting: MakeActing) -> None:
        def without_b(_view: Session, message: Message) -> Message | None:
            return None if message.text == "B" else message

        seen: list[str] = []

        def note(_view: Session, message: Message) -> Message | None:
            seen.append(message.text)
            return message

        valves = (acting(without_b), acting(note, without_b))
        bench = await RelayBench(valves=valves).open()
        connection = bench.blue.connections[0]
        bench.say(*"ABC")
        await settle()
        for reply in "ABC":
            connection.reply(reply)
        await settle()
        assert connection.texts == seen == ["A", "C"]
        assert bench.client.texts == ["A", "C"]
        assert bench.counters.valve_discards.value == 2
        assert bench.counters.valve_errors.value == 0
        assert bench.session.unacknowledged == 2

    @on_virtual_clock
    async def test_a_replay_does_not_pass_them_again(self, acting: MakeActing) -> None:
        bench = await RelayBench(valves=(acting(signing(">"), signing("<")),)).open()
        bench.say("A", "B")
        await settle()
        bench.drop()
        connection = await bench.green.connection()
        assert connection.texts == ["A>", "B>"]
        connection.reply("1")
        await settle()
        assert bench.client.texts == ["1<"]

    @on_virtual_clock
    async def test_each_session_has_its_own(self) -> None:
        made: list[Session] = []

        def make(view: Session) -> MessageValve:
            made.append(view)
            return PassingValve(view)

        bench = RelayBench(valves=(valve(make),))
        await bench.open()
        await bench.open()
        assert len(made) == 2

    @on_virtual_clock
    async def test_a_factory_that_fails_is_told_before_the_dial(self) -> None:
        def make(_view: Session) -> MessageValve:
            raise LookupError("no such table")

        listener = RecordingListener()
        bench = RelayBench(valves=(valve(make),), listeners=(listener,))
        with pytest.raises(LookupError) as failed:
            await bench.dial()
        [note] = failed.value.__notes__
        assert note.startswith("valve, kind ")
        assert bench.blue.requests == []
        assert listener.log == []
        assert len(bench.table) == 0


class TestFaults:
    @staticmethod
    def failing(_view: Session, message: Message) -> Message | None:
        if message.text == "B":
            raise LookupError("a bug in the valve")
        return message

    @pytest.mark.parametrize("direction", ["outward", "inward"])
    @on_virtual_clock
    async def test_a_fault_closes_the_session(
        self, acting: MakeActing, direction: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench = await RelayBench(valves=(acting(**{direction: self.failing}),)).open()
        connection = bench.blue.connections[0]
        for text in "ABC":
            bench.say(text) if direction == "outward" else connection.reply(text)
        await settle()
        assert bench.client.closed == Close(1011, "internal error")
        assert (connection.texts if direction == "outward" else bench.client.texts) == ["A"]
        assert connection.close_request is not None
        assert bench.counters.valve_errors.value == 1
        assert bench.counters.valve_discards.value == 0
        assert [record.levelno for record in caplog.records if "scripted" in record.message] == [
            logging.ERROR
        ]

    @on_virtual_clock
    async def test_or_loses_the_message_where_that_is_preferred(self, acting: MakeActing) -> None:
        bench = await RelayBench(
            valves=(acting(self.failing, self.failing, on_error="discard"),)
        ).open()
        connection = bench.blue.connections[0]
        bench.say(*"ABC")
        for reply in "ABC":
            connection.reply(reply)
        await settle()
        assert connection.texts == ["A", "C"]
        assert bench.client.texts == ["A", "C"]
        assert bench.client.closed is None
        assert bench.counters.valve_errors.value == 2
        assert bench.counters.valve_discards.value == 0

    @pytest.mark.parametrize("on_error", ["close", "discard"])
    @pytest.mark.parametrize("direction", ["outward", "inward"])
    @on_virtual_clock
    async def test_a_wish_to_close_is_no_fault(
        self, acting: MakeActing, direction: str, on_error: Literal["close", "discard"]
    ) -> None:
        def enough(_view: Session, message: Message) -> Message | None:
            if message.text == "B":
                raise CloseSession(4000, "enough")
            return message

        listener = RecordingListener()
        component = acting(**{direction: enough}, on_error=on_error)
        bench = await RelayBench(valves=(component,), listeners=(listener,)).open()
        connection = bench.blue.connections[0]
        for text in "ABC":
            bench.say(text) if direction == "outward" else connection.reply(text)
        await settle()
        assert bench.client.closed == Close(4000, "enough")
        assert connection.close_request == Close(4000, "enough")
        assert (connection.texts if direction == "outward" else bench.client.texts) == ["A"]
        assert bench.counters.valve_errors.value == 0
        assert bench.counters.valve_discards.value == 0
        assert listener.log[-1] == "listener: terminated 4000 enough"

    @on_virtual_clock
    async def test_an_ended_session_asks_them_nothing(self, acting: MakeActing) -> None:
        seen: list[str] = []

        def note(_view: Session, message: Message) -> Message | None:
            seen.append(message.text)
            return message

        bench = await RelayBench(valves=(acting(note, note),)).open()
        bench.session.close(1000)
        bench.say("too late")  # the client has not seen the close yet
        bench.blue.connections[0].reply("too late")
        await settle()
        assert seen == []
        assert len(asyncio.all_tasks()) == 1


class TestActions:
    @on_virtual_clock
    async def test_closing_takes_effect_after_the_message_in_hand(self, acting: MakeActing) -> None:
        def close_at_b(view: Session, message: Message) -> Message | None:
            if message.text == "B":
                view.close(4000, "enough")
            return message

        bench = await RelayBench(valves=(acting(close_at_b), plain())).open()
        connection = bench.blue.connections[0]
        bench.say(*"ABC")
        await settle()
        assert connection.texts == ["A", "B"]
        assert bench.client.closed == Close(4000, "enough")
        assert connection.close_request is not None
        assert connection.close_request.code == 1001

    @on_virtual_clock
    async def test_so_does_moving(self, acting: MakeActing) -> None:
        def move_at_b(view: Session, message: Message) -> Message | None:
            if message.text == "B":
                view.fail_over()
            return message

        bench = await RelayBench(valves=(acting(move_at_b), plain())).open()
        bench.say(*"ABC")
        connection = await bench.green.connection()
        await settle()
        assert bench.blue.connections[0].texts == ["A", "B"]
        assert connection.texts == ["A", "B", "C"]
        assert len(bench.blue.requests) == 1

    @on_virtual_clock
    async def test_closing_at_a_reply_lets_the_client_have_it(self, acting: MakeActing) -> None:
        def close(view: Session, message: Message) -> Message | None:
            view.close(4000, "enough")
            return message

        bench = await RelayBench(valves=(acting(inward=close),)).open()
        bench.blue.connections[0].reply("last")
        await settle()
        assert bench.client.texts == ["last"]
        assert bench.client.closed == Close(4000, "enough")
        assert bench.client.received_late == []


class TestInjecting:
    @on_virtual_clock
    async def test_messages_enter_behind_the_valve_that_injects_them(
        self, acting: MakeActing
    ) -> None:
        def inject_outward(view: Session, message: Message) -> Message | None:
            if message.text == "inject":
                view.send_to_backend(as_message("extra"))
                return None
            return message

        def inject_inward(view: Session, message: Message) -> Message | None:
            if message.text == "inject":
                view.send_to_client(as_message("extra"))
                return None
            return message

        bench = await RelayBench(
            valves=(
                acting(inward=signing("<1")),
                acting(inject_outward, inject_inward),
                acting(signing(">3")),
            )
        ).open()
        connection = bench.blue.connections[0]
        bench.say("inject")
        connection.reply("inject")
        await settle()
        assert connection.texts == ["extra>3"]
        assert bench.client.texts == ["extra<1"]

    @on_virtual_clock
    async def test_they_come_behind_the_message_in_hand(self, acting: MakeActing) -> None:
        def echo_outward(view: Session, message: Message) -> Message | None:
            view.send_to_backend(as_message(f"after {message.text}"))
            return message

        def echo_inward(view: Session, message: Message) -> Message | None:
            view.send_to_client(as_message(f"after {message.text}"))
            return message

        bench = await RelayBench(valves=(acting(echo_outward, echo_inward),)).open()
        connection = bench.blue.connections[0]
        bench.say("A")
        connection.reply("1")
        await settle()
        assert connection.texts == ["A", "after A"]
        assert bench.client.texts == ["1", "after 1"]

    @on_virtual_clock
    async def test_several_keep_their_order_before_a_close(self, acting: MakeActing) -> None:
        def say_goodbye(view: Session, message: Message) -> Message | None:
            view.send_to_client(as_message("one"))
            view.send_to_client(as_message("two"))
            view.close(4000, "bye")
            return message

        bench = await RelayBench(valves=(acting(inward=say_goodbye),)).open()
        bench.blue.connections[0].reply("zero")
        await settle()
        assert bench.client.texts[:1] == ["zero"]
        assert bench.client.texts in (["zero"], ["zero", "one", "two"])
        assert bench.client.closed == Close(4000, "bye")
        assert bench.client.received_late == []

    @on_virtual_clock
    async def test_they_may_go_the_other_way(self, acting: MakeActing) -> None:
        def answer(view: Session, message: Message) -> Message | None:
            view.send_to_client(as_message(f"got {message.text}"))
            return None

        bench = await RelayBench(valves=(acting(inward=signing("<1")), acting(answer))).open()
        bench.say("A", "B")
        await settle()
        assert bench.blue.connections[0].texts == []
        assert bench.client.texts == ["got A<1", "got B<1"]

    @on_virtual_clock
    async def test_they_are_kept_and_replayed(self, acting: MakeActing) -> None:
        def add(view: Session, message: Message) -> Message | None:
            view.send_to_backend(as_message("extra"))
            return message

        bench = await RelayBench(valves=(acting(add),)).open()
        bench.say("A")
        await settle()
        assert bench.session.unacknowledged == 2
        bench.drop()
        assert sorted((await bench.green.connection()).texts) == ["A", "extra"]


class TestAsynchronous:
    @on_virtual_clock
    async def test_a_clients_close_waits_for_its_messages(self) -> None:
        bench = await RelayBench(FakeBackend(acknowledge=True), valves=(slow(),)).open()
        connection = bench.blue.connections[0]
        bench.say(*"ABC")
        bench.leave(4000, "bye")
        close = await connection.until_close_requested()
        assert connection.texts == ["A", "B", "C"]
        assert close == Close(4000, "bye")
        await idle()
        assert bench.ended
        assert bench.counters.undelivered.value == 0

    @on_virtual_clock
    async def test_what_has_not_come_through_in_time_is_counted(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        limits = LimitOptions(close_timeout=1.5)
        bench = await RelayBench(
            FakeBackend(acknowledge=True), valves=(slow(),), limits=limits
        ).open()
        bench.say(*"ABCD")
        bench.leave(4000, "bye")
        await settle()
        assert bench.ended
        assert bench.blue.connections[0].texts == ["A"]
        assert bench.counters.undelivered.value == 3
        assert "3 undelivered" in caplog.text

    @on_virtual_clock
    async def test_a_backends_close_waits_for_its_messages(self) -> None:
        bench = await RelayBench(valves=(slow(),)).open()
        connection = bench.blue.connections[0]
        for reply in "123":
            connection.reply(reply)
        connection.hang_up(4000, "bye")
        await idle()
        assert bench.client.closed is None
        await bench.client.until_closed()
        assert bench.client.texts == ["1", "2", "3"]
        assert bench.client.closed == Close(4000, "bye")

    @on_virtual_clock
    async def test_a_client_that_leaves_meanwhile_ends_the_session(self) -> None:
        bench = await RelayBench(valves=(slow(),)).open()
        connection = bench.blue.connections[0]
        connection.reply("1")
        connection.hang_up(4000, "bye")
        bench.leave()
        await settle()
        assert bench.ended
        assert bench.client.closes == []
        assert len(asyncio.all_tasks()) == 1

    @on_virtual_clock
    async def test_so_does_one_whose_session_was_about_to_move(self) -> None:
        bench = await RelayBench(valves=(slow(),)).open()
        assert bench.session.move()
        connection = bench.blue.connections[0]
        connection.reply("1")
        connection.hang_up(4000, "bye")
        bench.leave()
        await settle()
        assert bench.ended
        assert bench.client.closes == []
        assert len(asyncio.all_tasks()) == 1

    @on_virtual_clock
    async def test_what_was_read_before_a_loss_comes_before_the_next_backends(self) -> None:
        bench = await RelayBench(valves=(slow(),)).open()
        first = bench.blue.connections[0]
        first.reply("1")
        first.reply("2")
        first.drop()
        (await bench.green.connection()).reply("3")
        await settle()
        assert bench.client.texts == ["1", "2", "3"]

    @on_virtual_clock
    async def test_messages_of_a_hold_are_sent_when_they_are_through(self) -> None:
        bench = await RelayBench(valves=(slow(),)).open()
        bench.blue.go_down()
        bench.green.go_down()
        bench.say("A", "B")
        await asyncio.sleep(1.5)
        bench.green.come_up()
        await settle()
        assert (await bench.green.connection()).texts == ["A", "B"]

    @on_virtual_clock
    async def test_a_full_queue_stops_the_client(self) -> None:
        bench = await RelayBench(valves=(slow(),), limits=LimitOptions(valve_queue=4)).open()
        bench.say(*"ABC")
        assert bench.is_reading()
        bench.say("D")
        assert not bench.is_reading()
        bench.say("E")  # was read already
        await bench.client.until_reading(True)
        assert len(bench.blue.connections[0].texts) >= 2
        await settle()
        assert bench.blue.connections[0].texts == list("ABCDE")

    @on_virtual_clock
    async def test_a_full_queue_stops_the_backend(self) -> None:
        bench = await RelayBench(valves=(slow(),), limits=LimitOptions(valve_queue=4)).open()
        connection = bench.blue.connections[0]
        for reply in "12345678":
            connection.reply(reply)
        assert connection.paused
        await connection.until_paused(False)
        await settle()
        assert bench.client.texts == list("12345678")

    @on_virtual_clock
    async def test_a_full_queue_stops_the_next_backend_too(self) -> None:
        bench = await RelayBench(valves=(slow(),), limits=LimitOptions(valve_queue=4)).open()
        connection = bench.blue.connections[0]
        for reply in "1234":
            connection.reply(reply)
        connection.drop()
        following = await bench.green.connection()
        assert following.paused
        await following.until_paused(False)

    @on_virtual_clock
    async def test_a_valve_that_hangs_is_at_fault(self) -> None:
        class Hanging(PassingValve):
            async def before_transmit(  # type: ignore[override]  # asynchronous on purpose
                self, message: Message
            ) -> Message | None:
                await asyncio.sleep(1000)
                return message

        limits = LimitOptions(valve_timeout=5)
        bench = await RelayBench(valves=(valve(Hanging),), limits=limits).open()
        bench.say("A")
        assert await bench.client.until_closed() == Close(1011, "internal error")
        assert asyncio.get_running_loop().time() == 5
        assert bench.counters.valve_errors.value == 1

        bench = await RelayBench(valves=(valve(Hanging, "discard"),), limits=limits).open()
        bench.say("A", "B")
        await asyncio.sleep(10.1)
        assert bench.client.closed is None
        assert bench.counters.valve_errors.value == 2

    @on_virtual_clock
    async def test_an_operators_close_waits_for_nothing_and_leaves_nothing(self) -> None:
        bench = await RelayBench(valves=(slow(),)).open()
        bench.say(*"ABC")
        for reply in "123":
            bench.blue.connections[0].reply(reply)
        await asyncio.sleep(0.5)
        bench.session.close(1012, "stopping")
        await idle()
        assert bench.client.closed == Close(1012, "stopping")
        assert len(asyncio.all_tasks()) == 1
        await settle()
        assert bench.client.received_late == []
        assert bench.blue.connections[0].received == []

    @pytest.mark.parametrize("dead", [False, True])
    @on_virtual_clock
    async def test_a_client_that_leaves_is_flushed_through_the_queue(self, *, dead: bool) -> None:
        backends = (
            FakeBackend("blue", acknowledge=not dead),
            FakeBackend("green", acknowledge=True),
        )
        bench = await RelayBench(*backends, valves=(slow(),)).open()
        bench.say("A", "B")
        bench.leave()
        if dead:
            await asyncio.sleep(0.5)
            bench.drop()
        await settle()
        connection = (bench.green if dead else bench.blue).connections[-1]
        assert connection.texts == ["A", "B"]
        assert bench.session.state is State.ENDED
        assert bench.counters.undelivered.value == 0

    @on_virtual_clock
    async def test_a_valve_that_hangs_does_not_keep_a_session_whose_client_has_left(self) -> None:
        class Hanging(PassingValve):
            async def before_transmit(  # type: ignore[override]  # asynchronous on purpose
                self, message: Message
            ) -> Message | None:
                await asyncio.sleep(1000)
                return message

        limits = LimitOptions(valve_timeout=8, close_timeout=10)
        bench = await RelayBench(valves=(valve(Hanging, "discard"),), limits=limits).open()
        bench.say(*"ABCDEFGH")
        bench.leave()
        await asyncio.sleep(10.1)
        assert bench.ended
        assert bench.blue.connections[0].close_request is not None
        await idle()
        assert len(asyncio.all_tasks()) == 1
