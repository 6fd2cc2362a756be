"""Valves see, change, discard and add messages; plain ones and asynchronous ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

import pytest

from wsgw_core.api import Close, CloseSession, Message, MessageValve, Session
from wsgw_core.relay.all_sessions.session_context import ConfiguredValve
from wsgw_core.testing.fakes import as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RecordingListener, RelayBench, valve
from .acting_valves import Act, Plain, Slow, passing, plain, settle, signing, slow

MakeActing = Callable[..., ConfiguredValve]


@pytest.fixture(params=["plain", "asynchronous"])
def acting(request: pytest.FixtureRequest) -> MakeActing:
    """Configures a plain or an asynchronous valve: `acting(outward, inward)`."""
    kind: type[Plain | Slow] = Plain if request.param == "plain" else Slow

    def configure(
        outward: Act = passing,
        inward: Act = passing,
        on_error: Literal["close", "discard"] = "close",
    ) -> ConfiguredValve:
        def make(view: Session) -> MessageValve:
            return kind(view, outward, inward)

        return valve(make, on_error)

    return configure


class TestPassing:
    @on_virtual_clock
    async def test_messages_pass_valves_in_configured_order_and_replies_in_reverse(
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
    async def test_plain_and_asynchronous_valves_work_together(self) -> None:
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
    async def test_a_replay_does_not_pass_the_valves_again(self, acting: MakeActing) -> None:
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
    async def test_each_session_has_its_own_valve(self) -> None:
        made: list[Session] = []

        def make(view: Session) -> MessageValve:
            made.append(view)
            return PassingValve(view)

        bench = RelayBench(valves=(valve(make),))
        await bench.open()
        await bench.open()
        assert len(made) == 2

    @on_virtual_clock
    async def test_a_factory_that_fails_raises_before_the_dial(self) -> None:
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
    async def test_a_fault_discards_the_message_with_on_error_discard(
        self, acting: MakeActing
    ) -> None:
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
    async def test_close_session_closes_and_is_no_fault(
        self, acting: MakeActing, direction: str, on_error: Literal["close", "discard"]
    ) -> None:
        def enough(_view: Session, message: Message) -> Message | None:
            if message.text == "B":
                raise CloseSession(4000, "enough")
            return message

        listener = RecordingListener()
        spec = acting(**{direction: enough}, on_error=on_error)
        bench = await RelayBench(valves=(spec,), listeners=(listener,)).open()
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
    async def test_an_ended_session_calls_no_valve(self, acting: MakeActing) -> None:
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
    async def test_moving_takes_effect_after_the_message_in_hand(self, acting: MakeActing) -> None:
        def move_at_b(view: Session, message: Message) -> Message | None:
            if message.text == "B":
                view.fail_over()
            return message

        bench = await RelayBench(valves=(acting(move_at_b), plain())).open()
        bench.say(*"ABC")
        connection = await bench.green.connection()
        await settle()
        assert bench.blue.connections[0].texts == ["A", "B"]
        assert connection.texts == ["C"]
        assert len(bench.blue.requests) == 1

    @on_virtual_clock
    async def test_closing_at_a_reply_sends_the_reply_first(self, acting: MakeActing) -> None:
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
    async def test_injected_messages_come_after_the_message_in_hand(
        self, acting: MakeActing
    ) -> None:
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
    async def test_several_injected_messages_keep_their_order_before_a_close(
        self, acting: MakeActing
    ) -> None:
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
    async def test_thousands_of_injected_messages_arrive_in_order(self, acting: MakeActing) -> None:
        def split(view: Session, message: Message) -> Message | None:
            first, *others = message.text.split()
            for other in others:
                view.send_to_backend(as_message(other))
            return as_message(first)

        bench = await RelayBench(valves=(acting(split), plain())).open()
        parts = [str(number) for number in range(4000)]
        bench.say(" ".join(parts))
        await settle()
        assert bench.blue.connections[0].texts == parts

    @on_virtual_clock
    async def test_messages_can_be_injected_in_the_other_direction(
        self, acting: MakeActing
    ) -> None:
        def answer(view: Session, message: Message) -> Message | None:
            view.send_to_client(as_message(f"got {message.text}"))
            return None

        bench = await RelayBench(valves=(acting(inward=signing("<1")), acting(answer))).open()
        bench.say("A", "B")
        await settle()
        assert bench.blue.connections[0].texts == []
        assert bench.client.texts == ["got A<1", "got B<1"]

    @on_virtual_clock
    async def test_injected_messages_are_kept_and_replayed(self, acting: MakeActing) -> None:
        def add(view: Session, message: Message) -> Message | None:
            view.send_to_backend(as_message("extra"))
            return message

        bench = await RelayBench(valves=(acting(add),)).open()
        bench.say("A")
        await settle()
        assert bench.session.unacknowledged == 2
        bench.drop()
        assert sorted((await bench.green.connection()).texts) == ["A", "extra"]


@pytest.mark.parametrize("reconnect", [False, True])
@on_virtual_clock
async def test_a_session_may_end_during_the_start(reconnect: bool) -> None:
    class Guard(PassingValve):
        def after_receive(self, message: Message) -> Message:
            raise CloseSession(4000, message.text)

    bench = RelayBench(valves=(valve(Guard),))
    await bench.dial()
    connection = bench.blue.connections[0]
    if reconnect:
        bench.session.start(bench.client)
        bench.drop()
        await bench.green.until_dialled(1)
        connection = bench.green.connections[0]

    def start() -> None:
        connection.started = True
        connection.reply("enough")

    connection.start = start  # type: ignore[method-assign]  # as some kinds do
    if not reconnect:
        bench.session.start(bench.client)
    assert await bench.client.until_closed() == Close(4000, "enough")
    assert bench.ended
    assert bench.counters.holds_expired.value == 0


@on_virtual_clock
async def test_a_valve_closes_the_client_normally_by_default() -> None:
    bench = await RelayBench(valves=(valve(PassingValve),)).open()
    bench.session.view().close()
    await idle()
    assert bench.client.closed == Close(1000, "")
