"""Asynchronous valves run without a task until they wait."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import pytest

from wsgw_core.api import TEXT, Close, Message, ReplyExpected, Session
from wsgw_core.relay.all_sessions.session_context import ConfiguredValve
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, valve

Transmit = Callable[[Message], Any]


def acting(transmit: Transmit, on_error: Any = "close", kind: str = "acting") -> ConfiguredValve:
    """Configure a valve that calls a function with each message of the client."""

    class Acting(PassingValve):
        def before_transmit(self, message: Message) -> Any:
            return transmit(message)

    return valve(Acting, on_error, kind)


async def passing(message: Message) -> Message:
    return message


async def texts_of(bench: RelayBench) -> list[str]:
    await asyncio.sleep(5)
    return bench.blue.connections[0].texts


@on_virtual_clock
async def test_message_whose_valve_does_not_wait_goes_on_at_once() -> None:
    bench = await RelayBench(valves=(acting(passing), acting(passing))).open()
    bench.say("A", "B")
    assert bench.blue.connections[0].texts == ["A", "B"]


@on_virtual_clock
async def test_messages_behind_one_that_waits_wait_too() -> None:
    async def waiting_for_b(message: Message) -> Message:
        await asyncio.sleep(message.text == "B")
        return message

    async def without_wait(message: Message) -> Message:
        if message.text == "B":
            await asyncio.sleep(1)
        return message

    for transmit in (waiting_for_b, without_wait):
        bench = await RelayBench(valves=(acting(transmit), acting(passing))).open()
        bench.say(*"ABC")
        assert bench.session.undelivered == 3
        assert await texts_of(bench) == list("ABC")
        bench.say("D")
        assert await texts_of(bench) == list("ABCD")


@on_virtual_clock
async def test_each_valve_may_wait_in_turn() -> None:
    async def waiting(message: Message) -> Message:
        await asyncio.sleep(0.5)
        return Message.from_text(message.text + "!")

    bench = await RelayBench(valves=(acting(waiting), acting(passing), acting(waiting))).open()
    bench.say("A", "B")
    assert await texts_of(bench) == ["A!!", "B!!"]


@on_virtual_clock
async def test_timeouts_work_before_and_after_the_first_wait() -> None:
    outcomes: list[str] = []

    async def bounded(message: Message) -> Message:
        async with asyncio.timeout(1):
            await passing(message)
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(10)
        except TimeoutError:
            outcomes.append("late")
        outcomes.append(await asyncio.wait_for(asyncio.sleep(0.1, "done"), 1))
        return message

    bench = await RelayBench(valves=(acting(bounded),)).open()
    bench.say("A", "B")
    assert await texts_of(bench) == ["A", "B"]
    assert outcomes == ["late", "done"] * 2


@on_virtual_clock
async def test_task_and_context_are_the_same_before_and_after_a_wait() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    tasks: list[Any] = []

    async def looking(message: Message) -> Message:
        token = variable.set(message.text)
        tasks.append(asyncio.current_task())
        await asyncio.sleep(1)
        tasks.append(asyncio.current_task())
        assert variable.get() == message.text
        variable.reset(token)
        return message

    bench = await RelayBench(valves=(acting(looking),)).open()
    mine = asyncio.current_task()
    bench.say("A")  # from a task
    assert asyncio.current_task() is mine
    asyncio.get_running_loop().call_later(2, bench.say, "B")  # from a callback, as sockets do
    assert await texts_of(bench) == ["A", "B"]
    assert len(set(tasks)) == 1
    assert tasks[0] is not None
    assert mine not in tasks


@on_virtual_clock
async def test_plain_function_may_return_an_awaitable() -> None:
    def future(message: Message) -> Awaitable[Message]:
        result: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(1, result.set_result, message)
        return result

    def bound(_word: str, message: Message) -> Awaitable[Message]:
        return passing(message)

    bench = await RelayBench(valves=(acting(future), acting(partial(bound, "x")))).open()
    bench.say("A", "B")
    assert await texts_of(bench) == ["A", "B"]


async def told_a_number(_message: Message) -> Any:
    return 7


def text_as_data(message: Message) -> Message:
    return Message(TEXT, cast("Any", message.text))


async def text_as_data_later(message: Message) -> Message:
    await asyncio.sleep(1)
    return text_as_data(message)


def with_another_kind(message: Message) -> Message:
    return Message(cast("Any", "text"), message.data)


def that_expects_forever(message: Message) -> Message:
    return ReplyExpected(TEXT, message.data, "handle", cast("Any", None))


def that_cannot_be_recognised(message: Message) -> Message:
    return ReplyExpected(TEXT, message.data, cast("Any", []), 1.0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (text_as_data, "the data of a Message is str, not bytes"),
        (text_as_data_later, "the data of a Message is str, not bytes"),
        (with_another_kind, "the kind of a Message is 'text', not TEXT or BINARY"),
        (that_expects_forever, "'expires' of a ReplyExpected is None"),
        (that_cannot_be_recognised, "unhashable type: 'list'"),
    ],
)
@pytest.mark.parametrize("on_error", ["close", "discard"])
@on_virtual_clock
async def test_ill_made_message_is_a_fault_of_its_valve(
    wrong: Transmit, told: str, on_error: str, caplog: pytest.LogCaptureFixture
) -> None:
    def only_b(message: Message) -> Any:
        return wrong(message) if message.text == "B" else message

    valves = (acting(passing, kind="innocent"), acting(only_b, on_error, "guilty"))
    bench = await RelayBench(valves=valves).open()
    bench.say("A", "B", "C")
    await asyncio.sleep(2)
    [fault] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "valve guilty raised TypeError" in fault.message
    assert told in fault.message
    assert bench.counters.valve_errors.value == 1
    closed = on_error == "close"
    assert bench.client.closed == (Close(1011, "internal error") if closed else None)
    assert bench.blue.connections[0].texts == (["A"] if closed else ["A", "C"])


@pytest.mark.parametrize("to_client", [True, False])
@on_virtual_clock
async def test_ill_made_message_is_refused_where_a_valve_injects_it(
    to_client: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Injecting(PassingValve):
        def before_transmit(self, message: Message) -> Message:
            send = self.view.send_to_client if to_client else self.view.send_to_backend
            send(text_as_data(message))
            return message

    bench = await RelayBench(valves=(valve(Injecting, "discard", "guilty"),)).open()
    bench.say("A")
    await idle()
    [fault] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "valve guilty raised TypeError" in fault.message
    assert bench.client.closed is None
    assert bench.client.texts == bench.blue.connections[0].texts == []


async def told_a_number_late(_message: Message) -> Any:
    await asyncio.sleep(1)
    return 7


@pytest.mark.parametrize(
    "wrong",
    [lambda _message: 7, lambda message: message.text, told_a_number, told_a_number_late],
    ids=["number", "text", "asynchronous", "late"],
)
@pytest.mark.parametrize("on_error", ["close", "discard"])
@on_virtual_clock
async def test_answer_that_is_no_message_is_a_fault_of_its_valve(
    wrong: Transmit, on_error: str, caplog: pytest.LogCaptureFixture
) -> None:
    valves = (
        acting(passing, kind="innocent"),
        acting(wrong, on_error, "guilty"),
        acting(passing, kind="innocent"),
    )
    bench = await RelayBench(valves=valves).open()
    bench.say("A")
    await asyncio.sleep(2)
    faults = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert len(faults) == 1
    assert "valve guilty raised TypeError" in faults[0].message
    assert "not a Message or None" in faults[0].message
    assert bench.counters.valve_errors.value == 1
    closed = Close(1011, "internal error") if on_error == "close" else None
    assert bench.client.closed == closed
    assert bench.blue.connections[0].texts == []


@on_virtual_clock
async def test_faults_of_a_valve_are_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    valves = (acting(told_a_number, "discard", "one"), acting(told_a_number, "discard", "other"))
    bench = await RelayBench(valves=valves).open()
    bench.say(*"ABC" * 100)
    assert bench.counters.valve_errors.value == 300
    assert len([each for each in caplog.records if "valve one raised" in each.message]) == 1
    await asyncio.sleep(61)
    bench.say("D")
    assert caplog.messages[-1].endswith("(and 299 more since the last one)")


@pytest.mark.parametrize("late", [False, True])
@on_virtual_clock
async def test_cancelled_awaitable_is_a_fault_of_the_valve(
    late: bool,
) -> None:
    async def cancelled(message: Message) -> Message:
        await asyncio.sleep(late)
        if message.text == "A":
            raise asyncio.CancelledError
        return message

    bench = await RelayBench(valves=(acting(cancelled, "discard"),)).open()
    bench.say("A", "B")
    assert await texts_of(bench) == ["B"]
    assert bench.counters.valve_errors.value == 1


@on_virtual_clock
async def test_valve_that_cancels_its_task_ends_its_session() -> None:
    async def suicidal(message: Message) -> Message:
        await asyncio.sleep(1)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)
        return message

    bench = await RelayBench(valves=(acting(suicidal),)).open()
    bench.say("A", "B")
    await asyncio.sleep(5)
    assert bench.client.closed == Close(1011, "internal error")
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("waits", [False, True])
@on_virtual_clock
async def test_nothing_runs_any_more_when_the_session_has_ended(
    waits: bool,
) -> None:
    async def maybe_waiting(message: Message) -> Message:
        if waits:
            await asyncio.sleep(100)
        return message

    bench = await RelayBench(valves=(acting(maybe_waiting),)).open()
    bench.say("A", "B")
    await idle()
    bench.session.close(1000)
    await idle()
    assert len(asyncio.all_tasks()) == 1


@on_virtual_clock
async def test_injected_messages_and_a_close_stay_in_order() -> None:
    class Parting(PassingValve):
        def __init__(self, view: Session) -> None:
            self._view = view

        async def before_transmit(self, message: Message) -> Message:  # type: ignore[override]  # asynchronous on purpose
            if message.text == "B":
                await asyncio.sleep(1)
                self._view.send_to_backend(Message.from_text("b"))
            elif message.text == "A":
                self._view.send_to_backend(Message.from_text("a"))
            return message

    bench = await RelayBench(valves=(valve(Parting),)).open()
    bench.say(*"AB")
    bench.leave(4000, "bye")
    assert await texts_of(bench) == ["A", "a", "B", "b"]
    connection = bench.blue.connections[0]
    connection.acknowledge()
    await idle()
    assert connection.close_request == Close(4000, "bye")


@pytest.mark.parametrize("slow_first", [False, True])
@on_virtual_clock
async def test_parts_of_a_message_come_before_the_next_one(slow_first: bool) -> None:
    class Splitting(PassingValve):
        def __init__(self, view: Session) -> None:
            self._view = view

        def before_transmit(self, message: Message) -> Message:
            first, *others = message.text.split("+")
            for other in others:
                self._view.send_to_backend(Message.from_text(other))
            return Message.from_text(first)

    async def waiting(message: Message) -> Message:
        await asyncio.sleep(0.1)
        return message

    chain = (valve(Splitting), acting(waiting))
    bench = await RelayBench(valves=chain[::-1] if slow_first else chain).open()
    bench.say("a+b+c", "d", "e+f")
    assert await texts_of(bench) == list("abcdef")
    assert bench.session.valves.held_bytes == 0
