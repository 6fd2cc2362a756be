"""Backends that behave oddly while they are hydrated: no message is lost, and no session hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

import pytest

from wsgw_core.api import (
    Close,
    Hydration,
    HydrationRefused,
    Message,
    MessageValve,
    Session,
)
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.relay.moves.drain import Drain
from wsgw_core.relay.session.session import Session as RelaySession
from wsgw_core.testing.fakes import FakeBackend, FakeClient, FakeConnection, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, valve
from .hydrating_valve import CHOOSE, LOGIN, Hydrating, answered_by, hydrating

TIMEOUT = FailoverOptions().hydration_timeout
STABLE = FailoverOptions().stable
HERD = 1000


def time() -> float:
    return asyncio.get_running_loop().time()


async def lives_on(bench: RelayBench, left: str) -> FakeConnection:
    """Returns the session's connection once it has one elsewhere."""
    async with asyncio.timeout(600):
        while bench.session.backend_id in (left, None):  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)
    (backend,) = [each for each in bench.backends if each.backend_id == bench.session.backend_id]
    return backend.connections[-1]


def refused(message: Message) -> bool:
    raise HydrationRefused(message.text)


@on_virtual_clock
async def test_a_message_before_the_question_is_no_answer() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN, CHOOSE),)).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    connection.set_writable(False)
    connection.reply("welcome")
    connection.reply("chosen")
    assert connection.texts == ["login"]
    connection.set_writable(True)
    assert connection.texts == ["login", "choose"]
    connection.reply("chosen")
    assert connection.texts == ["login", "choose", "A"]
    assert bench.client.texts == ["chosen"]


class SlowWithNews(PassingValve):
    """Takes half a second for the message "news"."""

    async def after_receive(self, message: Message) -> Message:  # type: ignore[override]  # both are allowed
        if message.text == "news":
            await asyncio.sleep(0.5)
        return message


class Suspect:
    """A session of whose hydration two backends have died: the next one waits for its turn.

    Args:
        last: what the valve offers from now on; None: nothing.
        inner: a valve that sees the backend's messages before the hydrating one.
    """

    def __init__(self, last: Hydration | None, inner: Callable[[Session], MessageValve]) -> None:
        self.steps = [LOGIN]
        self._last = last
        self.bench = RelayBench(
            FakeBackend("only"),
            valves=(valve(lambda view: Hydrating(view, lambda: list(self.steps))), valve(inner)),
            failover=FailoverOptions(hold=300),
        )

    async def open(self) -> FakeConnection:
        """Returns the connection that is not started yet."""
        await self.bench.open()
        self.bench.drop()
        for number in (1, 2):
            connection = await self.bench.blue.connection(number)
            await connection.until_received(1)
            if number == 2:
                self.steps = [] if self._last is None else [self._last]
            connection.drop()
        await self.bench.blue.until_dialled(4)
        return self.bench.blue.connections[-1]


@on_virtual_clock
async def test_a_message_may_be_in_a_slow_valve_when_the_last_step_is_over() -> None:
    suspect = Suspect(Hydration(None, answered_by("hello")), SlowWithNews)
    connection = await suspect.open()
    await connection.until_started()
    connection.reply("hello")
    suspect.bench.say("A")
    await asyncio.sleep(STABLE - 0.25)
    connection.reply("news")
    await asyncio.sleep(1)
    assert suspect.bench.client.texts == ["news"]
    assert connection.texts == ["A"]
    assert suspect.bench.counters.valve_errors.value == 0
    assert suspect.bench.client.closed is None


@on_virtual_clock
async def test_a_refusal_during_the_start_does_not_keep_the_poison_lock() -> None:
    suspect = Suspect(Hydration(None, refused), PassingValve)
    connection = await suspect.open()

    def start() -> None:
        connection.started = True
        suspect.steps = [LOGIN]
        connection.reply("full")

    connection.start = start  # type: ignore[method-assign]  # as some kinds do
    other = await suspect.bench.blue.connection(4)
    suspect.bench.say("A")
    await other.until_received(1)
    other.reply("welcome")
    assert other.texts == ["login", "A"]
    assert suspect.bench.client.texts == []


@pytest.mark.parametrize("client", ["fast", "slow"])
@on_virtual_clock
async def test_a_backend_that_sends_everything_but_the_answer_times_out(client: str) -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN),)).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    sent: list[str] = []
    while connection.close_request is None:
        sent.append(f"news {len(sent)}")
        connection.reply(sent[-1])
        if client == "slow":
            bench.session.client_writable(len(sent) % 2 == 0)
        await asyncio.sleep(0.01)
        assert time() < 3 * TIMEOUT
    assert time() == pytest.approx(TIMEOUT * (2 if client == "slow" else 1), rel=0.1)
    bench.session.client_writable(True)
    other = await bench.blue.connection(1)
    connection.reply("welcome")  # too late
    other.reply("welcome")
    await idle()
    assert other.texts == ["login", "A"]
    assert bench.client.texts == sent[: len(bench.client.texts)]
    assert len(bench.client.texts) >= len(sent) - 1  # the last one came with the timeout
    assert bench.counters.hydrations_failed.value == 1
    assert bench.counters.hydrations_refused.value == 0


@on_virtual_clock
async def test_only_the_first_answer_is_kept_from_the_client() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN, CHOOSE),)).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    for reply in ("welcome", "welcome", "chosen", "chosen"):
        connection.reply(reply)
    assert connection.texts == ["login", "choose", "A"]
    assert bench.client.texts == ["welcome", "chosen"]


@on_virtual_clock
async def test_messages_in_a_chain_of_deaths_arrive_once_and_in_order() -> None:
    """Each backend dies between two steps; the client goes on talking."""
    bench = await RelayBench(
        FakeBackend("blue"), FakeBackend("green"), valves=(hydrating(LOGIN, CHOOSE),)
    ).open()
    expected = ["login", "choose"]
    bench.drop()
    for number in range(4):
        for backend in (bench.green, bench.blue):
            connection = await backend.connection(number + (backend is bench.blue))
            await connection.until_received(1)
            expected.append(f"{backend.backend_id} {number}")
            bench.say(expected[-1])
            connection.reply(f"news of {backend.backend_id} {number}")
            if number < 1:
                connection.reply("welcome")
                connection.drop()
            else:
                connection.hang_up(4500)
    connection = await bench.green.connection(4)
    await connection.until_received(1)
    connection.reply("welcome")
    connection.reply("chosen")
    assert connection.texts == expected
    assert bench.client.texts == [f"news of {each}" for each in expected[2:]]
    assert bench.counters.hydrations_failed.value == 8
    assert bench.counters.hydrations_refused.value == 6
    assert not bench.session.is_hydrating


@on_virtual_clock
async def test_a_drain_waits_for_the_hydration_and_then_moves_the_session() -> None:
    backends = [FakeBackend(name, acknowledge=True) for name in ("blue", "green", "red")]
    bench = await RelayBench(*backends, valves=(hydrating(LOGIN),)).open()
    bench.drop()
    connection = await bench.green.connection()
    bench.say("A")
    bench.pooled[1].enabled = False
    drain = Drain(bench.pooled[1], bench.pool, bench.table, asyncio.get_running_loop(), 50)
    await asyncio.sleep(TIMEOUT - 0.1)
    assert bench.session.backend_id == "green"
    connection.reply("welcome")
    other = await lives_on(bench, "green")
    other.reply("welcome")
    bench.say("B")
    await idle()
    assert connection.texts == ["login", "A"]
    assert other.texts == ["login", "B"]
    assert bench.counters.moves.value == 1
    assert bench.counters.hydrations_failed.value == 0
    drain.stop()


@on_virtual_clock
async def test_a_drain_goes_on_after_a_hydration_that_fails() -> None:
    backends = [FakeBackend(name, acknowledge=True) for name in ("blue", "green", "red")]
    bench = await RelayBench(*backends, valves=(hydrating(LOGIN),)).open()
    bench.drop()
    connection = await bench.green.connection()
    bench.say("A")
    bench.pooled[1].enabled = False
    drain = Drain(bench.pooled[1], bench.pool, bench.table, asyncio.get_running_loop(), 50)
    assert await connection.until_close_requested() == Close(1001, "hydration failed")
    other = await lives_on(bench, "green")
    other.reply("welcome")
    assert other.texts == ["login", "A"]
    assert len(bench.green.connections) == 1
    drain.stop()


@pytest.mark.parametrize("on_error", ["close", "discard"])
@on_virtual_clock
async def test_a_fault_in_after_receive_during_the_hydration_ends_what_on_error_says(
    on_error: Literal["close", "discard"],
) -> None:
    class Faulty(Hydrating):
        def after_receive(self, message: Message) -> Message:
            if message.text == "odd":
                raise ZeroDivisionError
            return message

    guilty = valve(lambda view: Faulty(view, lambda: [LOGIN]), on_error)
    bench = await RelayBench(valves=(guilty,)).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    for reply in ("odd", "welcome", "news"):
        connection.reply(reply)
    await idle()
    assert bench.counters.valve_errors.value == 1
    if on_error == "close":
        assert bench.client.closed == Close(1011, "internal error")
        assert connection.texts == ["login"]
        assert bench.client.texts == []
        assert bench.ended
    else:
        assert connection.texts == ["login", "A"]
        assert bench.client.texts == ["news"]


@on_virtual_clock
async def test_each_failed_hydration_has_one_line_for_its_end() -> None:
    bench = await RelayBench(valves=(hydrating(Hydration(LOGIN.message, refused)),)).open()
    lines: list[str] = []
    bench.table.events.follow(lambda event: lines.append(event.text))
    bench.drop()
    (await bench.green.connection()).reply("full")
    (await bench.blue.connection(1)).hang_up(4401, "who?")
    await bench.green.connection(1)
    await asyncio.sleep(TIMEOUT + 0.01)
    assert [line.partition("backend ")[2] for line in lines if " closed: " in line] == [
        "blue closed: 1006 connection lost",
        "green closed: 1013 hydration refused: full",
        "blue closed: 1013 hydration refused: closed with 4401 who?",
        f"green closed: 1006 no answer to a hydration within {TIMEOUT:g} s",
    ]


@on_virtual_clock
async def test_a_thousand_sessions_are_hydrated_together_after_a_kill() -> None:
    bench = RelayBench(
        FakeBackend("blue"), FakeBackend("green"), valves=(hydrating(LOGIN, CHOOSE),)
    )
    sessions, clients = [], []
    for number in range(HERD):
        session = RelaySession(f"session-{number}", bench.handshake, bench.context)
        await session.open()
        sessions.append(session)
        clients.append(FakeClient())
        session.start(clients[-1])
    lost = list(bench.blue.connections)
    served = len(bench.green.connections)
    assert len(lost) + served == HERD
    for session in sessions:
        session.client_message(as_message(f"A of {session.id}"))
    for connection in lost:
        connection.drop()
    await bench.green.connection(HERD - 1)
    await idle()
    moved = bench.green.connections[served:]
    assert sum(session.is_hydrating for session in sessions) == len(moved) == len(lost)
    for session in sessions:
        session.client_message(as_message(f"B of {session.id}"))
    for reply in ("welcome", "chosen"):
        for connection in moved:
            connection.reply(reply)
    for connection in bench.green.connections:
        hydration = ["login", "choose"] if connection in moved else []
        id_ = connection.request.session_id
        assert connection.texts == [*hydration, f"A of {id_}", f"B of {id_}"]
    assert not any(session.is_hydrating for session in sessions)
    assert not any(client.texts or client.closes for client in clients)
    assert bench.counters.hydrations.value == len(lost)
    assert sum(bench.counters.hydration_durations.counts) == len(lost)
    assert bench.counters.hydrations_failed.value == 0
    for session in sessions:
        session.close(1000)


@on_virtual_clock
async def test_a_suspect_that_offers_no_steps_any_more_waits_for_no_turn() -> None:
    suspect = Suspect(None, PassingValve)
    connection = await suspect.open()
    suspect.bench.say("A")
    await connection.until_started()
    assert connection.texts == ["A"]
    assert not suspect.bench.session.is_hydrating
    connection.drop()
    assert suspect.bench.counters.hydrations.value == 2
    assert suspect.bench.counters.hydrations_failed.value == 2
    suspect.bench.session.close(1000)
