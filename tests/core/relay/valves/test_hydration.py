"""A new backend gets the valves' hydration first; the client does not see the answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Literal, cast

import pytest

from wsgw_core.api import (
    TEXT,
    Close,
    CloseSession,
    Hydration,
    Message,
)
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.relay.all_sessions.session_context import ConfiguredValve
from wsgw_core.testing.fakes import FakeBackend, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench, replayed, valve
from .hydrating_valve import CHOOSE, LOGIN, NOTE, Hydrating, answered_by, hydrating


@on_virtual_clock
async def test_each_step_waits_for_the_last_answer_and_the_replay_for_all_steps() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN), hydrating(NOTE, CHOOSE))).open()
    bench.say("A")
    assert bench.blue.connections[0].texts == ["A"]  # the first is the client's own business
    bench.drop()
    bench.say("B")
    connection = await bench.green.connection()
    assert replayed(connection.request) == 1
    bench.say("C")
    assert connection.texts == ["login"]
    for reply in ("news", "chosen", "welcome"):
        assert connection.reply(reply)
    assert connection.texts == ["login", "note", "choose"]
    bench.say("D")
    connection.reply("chosen")
    assert connection.texts == ["login", "note", "choose", "A", "B", "C", "D"]
    bench.say("E")
    assert connection.texts[-1] == "E"
    for reply in ("welcome", "chosen"):
        assert connection.reply(reply)
    assert bench.client.texts == ["news", "chosen", "welcome", "chosen"]


@on_virtual_clock
async def test_a_step_without_a_message_waits_for_the_backends_greeting() -> None:
    greeting = Hydration(None, answered_by("hello"))
    bench = await RelayBench(valves=(hydrating(Hydration(None), greeting, LOGIN),)).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    assert connection.texts == []
    connection.reply("hello")
    assert connection.texts == ["login"]
    connection.reply("welcome")
    assert connection.texts == ["login", "A"]
    assert bench.client.texts == []


@on_virtual_clock
async def test_a_greeting_that_comes_during_the_start_is_not_missed() -> None:
    bench = await RelayBench(
        valves=(hydrating(Hydration(None, answered_by("hello")), LOGIN),)
    ).open()
    bench.say("A")
    bench.drop()
    await bench.green.until_dialled(1)
    (connection,) = bench.green.connections

    def start() -> None:
        connection.started = True
        connection.reply("hello")
        assert connection.texts == []

    connection.start = start  # type: ignore[method-assign]  # as some kinds do
    await idle()
    assert connection.texts == ["login"]
    assert bench.client.texts == []


@on_virtual_clock
async def test_an_answer_is_recognised_behind_its_own_valve_and_before_the_others() -> None:
    seen: list[str] = []

    class Framing(Hydrating):
        """Joins two messages to one."""

        half = ""

        def after_receive(self, message: Message) -> Message | None:
            if message.text.startswith("<"):
                self.half = message.text
                return None
            whole, self.half = self.half + message.text, ""
            return as_message(whole)

    framed = Hydration(as_message("note"), answered_by("<ok>"))
    bench = await RelayBench(
        valves=(
            valve(lambda view: Hydrating(view, lambda: [CHOOSE], seen)),
            valve(lambda view: Framing(view, lambda: [framed])),
        )
    ).open()
    bench.drop()
    connection = await bench.green.connection()
    for reply in ("<o", "k>", "chosen", "<o", "k>", "<o", "k>"):
        connection.reply(reply)
    assert seen == ["<ok>", "chosen", "<ok>"]
    assert bench.client.texts == ["<ok>", "<ok>"]
    assert connection.texts == ["choose", "note"]


@on_virtual_clock
async def test_a_message_that_the_valve_sends_to_the_client_may_be_the_answer() -> None:
    class Splitting(Hydrating):
        def after_receive(self, message: Message) -> Message | None:
            for part in message.text.split(","):
                self.view.send_to_client(as_message(part))
            return None

    outer = valve(lambda view: Splitting(view, lambda: [LOGIN, CHOOSE]))
    bench = await RelayBench(valves=(hydrating(), outer, hydrating())).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    connection.reply("1,welcome,2,chosen,welcome")
    assert bench.client.texts == ["1", "2", "welcome"]
    assert connection.texts == ["login", "choose", "A"]
    assert bench.counters.valve_discards.value == 1  # the whole one; nothing that is swallowed


@on_virtual_clock
async def test_hydration_messages_are_neither_acknowledged_nor_replayed() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN, NOTE),)).open()
    bench.say("A", "B")
    bench.drop()
    connection = await bench.green.connection()
    connection.acknowledge(1)
    connection.reply("welcome")
    assert connection.texts == ["login", "note", "A", "B"]
    connection.acknowledge(1)
    assert bench.session.unacknowledged == 2
    connection.acknowledge(1)
    assert bench.session.unacknowledged == 1
    connection.drop()
    other = await bench.blue.connection(1)
    other.reply("welcome")
    assert other.texts == ["login", "note", "B"]
    other.acknowledge()
    assert bench.session.unacknowledged == 0
    assert bench.session.view().messages_received == 2


@on_virtual_clock
async def test_one_delivery_report_may_cover_the_hydration_and_later_messages() -> None:
    bench = await RelayBench(valves=(hydrating(NOTE, NOTE),)).open()
    bench.say("A", "B")
    bench.drop()
    (await bench.green.connection()).acknowledge(3)
    assert bench.session.unacknowledged == 1


@on_virtual_clock
async def test_a_numbered_connection_gets_the_hydration_without_numbers() -> None:
    bench = await RelayBench(
        FakeBackend("blue"), FakeBackend("green", numbered=True), valves=(hydrating(LOGIN),)
    ).open()
    bench.say("A", "B")
    bench.blue.connections[0].acknowledge(1)
    bench.drop()
    connection: Any = await bench.green.connection()
    bench.say("C")
    connection.reply("welcome")
    assert list(zip(connection.texts, connection.numbers, strict=True)) == [
        ("login", 0),
        ("B", 2),
        ("C", 3),
    ]


@on_virtual_clock
async def test_each_change_of_backend_calls_hydrate_whatever_its_reason() -> None:
    numbers = iter(range(1, 100))

    def hydrations() -> Sequence[Hydration]:
        return [Hydration(as_message(f"hydration {next(numbers)}"))]

    bench = await RelayBench(valves=(valve(lambda view: Hydrating(view, hydrations)),)).open()
    bench.drop()
    (await bench.green.connection()).drop()
    assert (await bench.blue.connection(1)).texts == ["hydration 2"]
    await asyncio.sleep(2)
    assert bench.session.move()
    assert (await bench.green.connection(1)).texts == ["hydration 3"]
    assert bench.session.fail_over()
    assert (await bench.blue.connection(2)).texts == ["hydration 4"]
    assert bench.counters.hydrations.value == 4
    assert bench.counters.hydrations_failed.value == 0


@on_virtual_clock
async def test_a_hydration_without_steps_delays_nothing_and_is_not_counted() -> None:
    bench = await RelayBench(valves=(hydrating(),)).open()
    bench.say("A")
    bench.drop()
    assert (await bench.green.connection()).texts == ["A"]
    assert bench.counters.hydrations.value == 0


@on_virtual_clock
async def test_messages_during_the_hydration_fill_the_ledger_until_the_client_is_paused() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN),)).open()
    bench.drop()
    connection = await bench.green.connection()
    half = "x" * (bench.limits.ledger_bytes // 2)
    bench.say(half)
    assert bench.is_reading()
    bench.say(half)
    assert not bench.is_reading()
    connection.reply("welcome")
    assert len(connection.texts) == 3
    connection.acknowledge()
    assert bench.is_reading()


def without_hydrations() -> Sequence[Hydration]:
    raise LookupError("a bug in the valve")


def with_text_as_data() -> Sequence[Hydration]:
    return [NOTE, Hydration(Message(TEXT, cast("Any", "login")))]


def without_an_answer() -> Sequence[Hydration]:
    return [NOTE, cast("Any", SimpleNamespace(message=None))]


@pytest.mark.parametrize("hydrations", [without_hydrations, with_text_as_data, without_an_answer])
@pytest.mark.parametrize("on_error", ["close", "discard"])
@on_virtual_clock
async def test_a_fault_in_hydrate_is_logged_and_ends_the_session_with_on_error_close(
    hydrations: Callable[[], Sequence[Hydration]],
    on_error: Literal["close", "discard"],
    caplog: pytest.LogCaptureFixture,
) -> None:
    guilty = valve(lambda view: Hydrating(view, hydrations), on_error, "guilty")
    bench = await RelayBench(valves=(hydrating(NOTE), guilty)).open()
    bench.say("A")
    bench.drop()
    if on_error == "discard":
        connection = await bench.green.connection()
        assert connection.texts == ["note", "A"]
        assert bench.client.closed is None
    else:
        assert await bench.client.until_closed() == Close(1011, "internal error")
        await idle()
        assert bench.ended
        assert bench.counters.undelivered.value == 1
        assert bench.green.connections[0].close_request is not None
        assert len(asyncio.all_tasks()) == 1
    (fault,) = [each for each in caplog.records if each.exc_info is not None]
    assert "valve guilty raised" in fault.message
    assert bench.counters.valve_errors.value == 1


@pytest.mark.parametrize("on_error", ["close", "discard"])
@on_virtual_clock
async def test_a_fault_in_is_answer_passes_the_message_on_to_the_client(
    on_error: Literal["close", "discard"], caplog: pytest.LogCaptureFixture
) -> None:
    login = Hydration(as_message("login"), lambda message: "id" in json.loads(message.text))
    guilty = valve(lambda view: Hydrating(view, lambda: [login]), on_error, "guilty")
    bench = await RelayBench(valves=(guilty,)).open()
    bench.drop()
    connection = await bench.green.connection()
    connection.reply("no JSON")
    await idle()
    assert [each.message for each in caplog.records if "valve guilty raised" in each.message]
    assert bench.client.texts == ["no JSON"]
    closed = Close(1011, "internal error") if on_error == "close" else None
    assert bench.client.closed == closed
    if on_error == "discard":
        connection.reply('{"id": 1}')
        connection.reply("news")
        assert bench.client.texts == ["no JSON", "news"]


@on_virtual_clock
async def test_a_valve_may_end_the_session_at_an_answer() -> None:
    def expired(message: Message) -> bool:
        raise CloseSession(4401, message.text)

    bench = await RelayBench(valves=(hydrating(Hydration(LOGIN.message, expired)),)).open()
    bench.drop()
    (await bench.green.connection()).reply("token expired")
    assert bench.client.closed == Close(4401, "token expired")
    assert bench.client.texts == []


# What happens meanwhile


@on_virtual_clock
async def test_messages_of_a_client_that_leaves_follow_the_hydration() -> None:
    bench = await RelayBench(
        FakeBackend("blue", answer_close=False),
        FakeBackend("green", acknowledge=True),
        valves=(hydrating(LOGIN),),
    ).open()
    bench.say("A")
    bench.leave()
    bench.drop()
    connection = await bench.green.connection()
    connection.reply("welcome")
    assert connection.texts == ["login", "A"]
    await bench.until_ended()
    assert bench.counters.undelivered.value == 0


@pytest.mark.parametrize("owed", [(), ("A",)])
@on_virtual_clock
async def test_the_session_of_a_client_that_leaves_waits_for_the_hydration_only_if_undelivered(
    owed: tuple[str, ...],
) -> None:
    bench = await RelayBench(
        FakeBackend("blue"), FakeBackend("green", acknowledge=True), valves=(hydrating(LOGIN),)
    ).open()
    bench.drop()
    connection = await bench.green.connection()
    bench.say(*owed)
    bench.leave(4000, "bye")
    assert (connection.close_request is None) == bool(owed)
    connection.reply("welcome")
    await bench.until_ended()
    assert connection.texts == ["login", *owed]
    assert connection.close_request == Close(4000, "bye")
    assert bench.counters.undelivered.value == 0
    assert bench.counters.failovers.value == 1
    assert asyncio.get_running_loop().time() < 1


@on_virtual_clock
async def test_messages_of_a_closed_client_follow_the_hydration() -> None:
    bench = await RelayBench(
        FakeBackend("blue"), FakeBackend("green", acknowledge=True), valves=(hydrating(LOGIN),)
    ).open()
    bench.drop()
    connection = await bench.green.connection()
    bench.session.close_client(1001, "stopping")
    bench.say("A")
    connection.reply("welcome")
    bench.leave(1001)
    await bench.until_ended()
    assert connection.texts == ["login", "A"]
    assert bench.counters.undelivered.value == 0


@on_virtual_clock
async def test_a_session_that_ends_during_the_hydration_leaves_nothing_behind() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN),)).open()
    bench.drop()
    connection = await bench.green.connection()
    bench.session.close(4000, "by an operator")
    connection.reply("welcome")
    await asyncio.sleep(10)
    assert connection.texts == ["login"]
    assert bench.counters.failovers.value == 1


@on_virtual_clock
async def test_a_full_connection_gets_no_further_hydration_message() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN, NOTE, NOTE),)).open()
    bench.drop()
    connection = await bench.green.connection()
    connection.set_writable(False)
    assert not bench.is_reading()
    connection.reply("welcome")
    assert connection.texts == ["login"]
    connection.set_writable(True)
    assert connection.texts == ["login", "note", "note"]
    assert bench.is_reading()


@on_virtual_clock
async def test_fail_over_during_the_hydration_goes_on_with_another_backend() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN),)).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    assert not bench.session.move()
    assert bench.session.fail_over()
    other = await bench.blue.connection(1)
    connection.reply("welcome")
    assert other.texts == ["login"]
    other.reply("welcome")
    assert other.texts == ["login", "A"]


# Asynchronous valves


class Slow:
    """Takes a while for each reply."""

    def __init__(self, hydrations: Callable[[], Sequence[Hydration]]) -> None:
        self._hydrations = hydrations

    def before_transmit(self, message: Message) -> Message | None:
        return message

    async def after_receive(self, message: Message) -> Message | None:
        await asyncio.sleep(1)
        return message

    def hydrate(self) -> Sequence[Hydration]:
        return self._hydrations()


def slow(*hydrations: Hydration) -> ConfiguredValve:
    return valve(lambda _: Slow(lambda: hydrations))


@on_virtual_clock
async def test_the_lost_backends_messages_are_through_before_hydrate_is_called() -> None:
    bench = await RelayBench(valves=(slow(LOGIN),)).open()
    bench.say("A")
    for reply in ("1", "welcome"):
        bench.blue.connections[0].reply(reply)
    bench.drop()
    connection = await bench.green.connection()
    connection.reply("news")
    await asyncio.sleep(1.9)
    assert connection.texts == []
    await asyncio.sleep(0.2)
    assert bench.client.texts == ["1", "welcome"]
    assert connection.texts == ["login"]
    connection.reply("welcome")
    await asyncio.sleep(2)
    assert connection.texts == ["login", "A"]
    assert bench.client.texts == ["1", "welcome", "news"]


@on_virtual_clock
async def test_the_answer_of_a_lost_backend_never_reaches_the_client() -> None:
    bench = await RelayBench(valves=(slow(LOGIN, CHOOSE), slow())).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    for reply in ("1", "welcome", "2"):
        connection.reply(reply)
    await asyncio.sleep(0.5)
    connection.drop()
    other = await bench.blue.connection(1)
    await asyncio.sleep(6)
    assert bench.client.texts == ["1", "2"]
    assert other.texts == ["login"]
    for reply in ("welcome", "chosen"):
        other.reply(reply)
    await asyncio.sleep(5)
    assert other.texts == ["login", "choose", "A"]
    assert bench.client.texts == ["1", "2"]


@on_virtual_clock
async def test_a_backend_lost_before_hydrate_is_called_gets_nothing() -> None:
    bench = await RelayBench(valves=(slow(LOGIN),)).open()
    bench.blue.connections[0].reply("1")
    bench.drop()
    connection = await bench.green.connection()
    connection.drop()
    other = await bench.blue.connection(1)
    await asyncio.sleep(2)
    assert connection.texts == []
    assert other.texts == ["login"]
    assert bench.counters.hydrations.value == 1


@on_virtual_clock
async def test_after_the_clients_close_hydrate_is_not_called_and_an_end_is_no_refusal() -> None:
    bench = await RelayBench(
        FakeBackend("blue"), FakeBackend("green", answer_close=False), valves=(slow(LOGIN),)
    ).open()
    bench.blue.connections[0].reply("1")
    bench.drop()
    connection = await bench.green.connection()
    bench.leave(4000, "bye")
    assert connection.close_request == Close(4000, "bye")
    await asyncio.sleep(2)  # the lost backend's messages are through
    connection.hang_up(1000)
    assert bench.ended
    assert connection.texts == []
    assert bench.counters.hydrations.value == 0
    assert bench.counters.hydrations_failed.value == 0
    assert bench.counters.hydrations_refused.value == 0


@on_virtual_clock
async def test_a_fault_in_a_delayed_hydrate_ends_the_session_too() -> None:
    guilty = valve(lambda _: Slow(without_hydrations))
    bench = await RelayBench(valves=(guilty,), failover=FailoverOptions(hold=1)).open()
    bench.blue.connections[0].reply("1")
    bench.drop()
    await bench.green.connection()
    assert await bench.client.until_closed() == Close(1011, "internal error")
    assert bench.client.texts == ["1"]
    assert bench.counters.valve_errors.value == 1
