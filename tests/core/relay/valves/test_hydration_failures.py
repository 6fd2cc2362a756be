"""A backend whose hydration fails counts as lost, and the session gets another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest

from wsgw_core.api import (
    Close,
    CloseCause,
    Hydration,
    HydrationRefused,
    Message,
    MessageValve,
    Session,
)
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.relay.session.session import Session as RelaySession
from wsgw_core.testing.fakes import FakeBackend, FakeClient, FakeConnection, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, valve
from .hydrating_valve import CHOOSE, LOGIN, NOTE, Hydrating, answered_by, hydrating

TIMEOUT = FailoverOptions().hydration_timeout


def welcomed(message: Message) -> bool:
    if message.text.startswith("refused"):
        raise HydrationRefused(message.text)
    return message.text == "welcome"


STRICT = Hydration(as_message("login"), welcomed)


async def refuse(connection: FakeConnection) -> None:
    connection.reply("refused")


async def say_nothing(_: FakeConnection) -> None:
    await asyncio.sleep(TIMEOUT + 0.01)


async def drop(connection: FakeConnection) -> None:
    connection.drop()


async def close(connection: FakeConnection) -> None:
    connection.hang_up(4401, "not logged in")


FAILURES = (refuse, say_nothing, drop, close)


def time() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("fail", FAILURES)
@on_virtual_clock
async def test_after_a_failed_hydration_the_next_backend_is_hydrated_and_gets_all(
    fail: Any,
) -> None:
    bench = await RelayBench(valves=(hydrating(STRICT, CHOOSE),)).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    bench.say("B")
    await fail(connection)
    other = await bench.blue.connection(1)
    connection.reply("welcome")
    assert other.texts == ["login"]
    other.reply("welcome")
    other.reply("chosen")
    assert other.texts == ["login", "choose", "A", "B"]
    assert connection.texts == ["login"]
    assert bench.client.texts == []
    assert bench.counters.failovers.value == 2
    assert bench.counters.hydrations.value == 2
    assert bench.counters.hydrations_failed.value == 1
    assert bench.counters.hydrations_refused.value == (fail in (refuse, close))
    if fail in (refuse, say_nothing):
        assert connection.close_request == Close(1001, "hydration failed")
        assert connection.close_cause is CloseCause.SESSION_MOVES


def is_no_denial(end: Close) -> bool:
    return end.code != 4403


@on_virtual_clock
async def test_a_close_that_is_no_refusal_reaches_the_client() -> None:
    strict = Hydration(as_message("login"), answered_by("welcome"), is_no_denial)
    bench = await RelayBench(valves=(hydrating(strict),)).open()
    bench.drop()
    (await bench.green.connection()).hang_up(4401, "not logged in")
    (await bench.blue.connection(1)).hang_up(4403, "denied")
    assert bench.client.closed == Close(4403, "denied")
    assert bench.ended
    assert bench.counters.hydrations_failed.value == 2
    assert bench.counters.hydrations_refused.value == 1


@on_virtual_clock
async def test_a_close_is_judged_by_the_step_that_waits() -> None:
    asked: list[str] = []

    def step(name: str) -> Hydration:
        def is_refusal(end: Close) -> bool:
            asked.append(f"{name} {end.code}")
            return name == "1"

        return Hydration(as_message(name), answered_by("yes"), is_refusal)

    bench = await RelayBench(valves=(hydrating(step("1"), step("2")),)).open()
    bench.drop()
    (await bench.green.connection()).hang_up(4001)
    connection = await bench.blue.connection(1)
    connection.reply("yes")
    connection.hang_up(4002)
    assert asked == ["1 4001", "2 4002"]
    assert bench.client.closed == Close(4002)


@on_virtual_clock
async def test_a_close_after_the_last_step_reaches_the_client() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN),)).open()
    bench.drop()
    connection = await bench.green.connection()
    connection.reply("welcome")
    connection.hang_up(4401, "token expired")
    assert bench.client.closed == Close(4401, "token expired")
    assert bench.counters.hydrations_failed.value == 0


@pytest.mark.parametrize("on_error", ["close", "discard"])
@on_virtual_clock
async def test_a_fault_in_is_refusal_is_a_fault_of_the_valve(
    on_error: Literal["close", "discard"],
) -> None:
    def fault(_: Close) -> bool:
        raise ZeroDivisionError

    def make(view: Session) -> MessageValve:
        return Hydrating(view, lambda: [Hydration(as_message("login"), welcomed, fault)])

    bench = await RelayBench(valves=(valve(make, on_error),)).open()
    bench.drop()
    (await bench.green.connection()).hang_up(4401)
    await idle()
    assert bench.counters.valve_errors.value == 1
    assert bench.counters.hydrations_refused.value == 1
    if on_error == "close":
        assert bench.client.closed == Close(1011, "internal error")
    else:
        await bench.blue.connection(1)


@on_virtual_clock
async def test_a_close_after_a_refusal_counts_as_the_refusal() -> None:
    """The close comes while an asynchronous valve still holds the refusal."""
    through = asyncio.Event()

    class Slow(Hydrating):
        async def after_receive(self, message: Message) -> Message:  # type: ignore[override]  # both are allowed
            await through.wait()
            return message

    def make(view: Session) -> MessageValve:
        return Slow(view, lambda: [STRICT])

    bench = await RelayBench(valves=(valve(make), valve(PassingValve))).open()
    bench.drop()
    connection = await bench.green.connection()
    connection.reply("refused")
    connection.hang_up(4401)
    through.set()
    other = await bench.blue.connection(1)
    assert other.texts == ["login"]
    assert bench.client.closed is None


@pytest.mark.parametrize("first", ["refused", "close"])
@on_virtual_clock
async def test_the_breaker_does_not_count_a_refusal_before_any_hydration_message(
    first: str,
) -> None:
    greeted = Hydration(None, welcomed)
    bench = await RelayBench(valves=(hydrating(greeted),), breaker_threshold=1).open()
    bench.blue.connections[0].reply("1")  # so that it is not blamed
    bench.drop()
    connection = await bench.green.connection()
    if first == "close":
        await close(connection)
    else:
        connection.reply(first)
    await bench.blue.connection(1)
    assert bench.pooled[1].usable


@on_virtual_clock
async def test_a_flush_with_nothing_undelivered_ends_at_a_close() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN),)).open()
    bench.drop()
    connection = await bench.green.connection()
    bench.leave()
    assert connection.close_request == Close(1000)
    connection.confirm_close()
    assert bench.ended
    assert len(bench.blue.connections) == 1


@on_virtual_clock
async def test_messages_after_a_refusal_do_not_reach_the_client() -> None:
    bench = await RelayBench(valves=(hydrating(STRICT),)).open()
    bench.drop()
    connection = await bench.green.connection()
    for reply in ("news", "refused", "more", "welcome"):
        connection.reply(reply)
    assert bench.client.texts == ["news"]


@on_virtual_clock
async def test_the_reason_of_a_refusal_is_logged_up_to_a_limit() -> None:
    bench = await RelayBench(valves=(hydrating(STRICT),)).open()
    lines: list[str] = []
    bench.table.events.follow(lambda event: lines.append(event.text))
    bench.drop()
    (await bench.green.connection()).reply("refused for " + "ever and " * 1000)
    (line,) = [each for each in lines if "refused" in each]
    assert "backend green closed: 1013 hydration refused: refused for ever and ever" in line
    assert len(line) < 300


@pytest.mark.parametrize("fail", FAILURES)
@on_virtual_clock
async def test_if_all_hydrations_fail_the_session_ends_with_the_hold(fail: Any) -> None:
    bench = await RelayBench(
        valves=(hydrating(STRICT),), failover=FailoverOptions(hold=20, max_backoff=1)
    ).open()
    bench.say("A")
    bench.drop()
    dials = [bench.blue, bench.green]

    async def serve(backend: FakeBackend, first: int) -> None:
        for number in range(first, 1000):
            await fail(await backend.connection(number))

    async with asyncio.TaskGroup() as group:
        serving = [group.create_task(serve(dials[0], 1)), group.create_task(serve(dials[1], 0))]
        closed = await bench.client.until_closed()
        for task in serving:
            task.cancel()
    assert closed == Close(1013, "no backend available")
    assert 20 <= time() <= 20 + TIMEOUT + 1
    assert bench.counters.holds_expired.value == 1
    assert bench.counters.undelivered.value == 1
    assert 3 <= bench.counters.hydrations_failed.value <= 60


@on_virtual_clock
async def test_without_a_hold_a_failure_ends_the_session_as_a_loss_does() -> None:
    bench = await RelayBench(valves=(hydrating(STRICT),), failover=FailoverOptions(hold=0)).open()
    bench.drop()
    (await bench.green.connection()).reply("refused")
    assert await bench.client.until_closed() == Close(1013, "no backend available")


@on_virtual_clock
async def test_a_backend_does_not_prove_itself_during_its_hydration() -> None:
    bench = await RelayBench(
        valves=(hydrating(LOGIN, CHOOSE),), failover=FailoverOptions(stable=1)
    ).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    connection.reply("welcome")
    connection.reply("news")
    connection.acknowledge(1)
    await asyncio.sleep(3)
    assert bench.pooled[1].proved == 0
    assert bench.session.recovery.must_still_prove
    connection.reply("chosen")
    connection.acknowledge(1)
    assert bench.pooled[1].proved == 0
    await asyncio.sleep(0.9)
    assert bench.pooled[1].proved == 0
    await asyncio.sleep(0.2)
    assert bench.pooled[1].proved == 1


@pytest.mark.parametrize("proof", ["reply", "acknowledge"])
@on_virtual_clock
async def test_a_message_after_the_hydration_proves_the_backend_at_once(proof: str) -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN),)).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    connection.reply("welcome")
    assert bench.pooled[1].proved == 0
    if proof == "reply":
        connection.reply("1")
        connection.reply("2")
        assert bench.client.texts == ["1", "2"]
    else:
        connection.acknowledge()
    assert bench.pooled[1].proved == 1


@pytest.mark.parametrize(
    ("fail", "trips"), [(refuse, False), (close, False), (say_nothing, True), (drop, True)]
)
@on_virtual_clock
async def test_the_breaker_counts_only_failures_that_a_client_cannot_provoke(
    fail: Any, trips: bool
) -> None:
    bench = await RelayBench(valves=(hydrating(STRICT),), breaker_threshold=1).open()
    bench.say("A")
    bench.blue.connections[0].reply("1")  # so that it is not blamed
    bench.drop()
    await fail(await bench.green.connection())
    await bench.blue.connection(1)
    assert bench.pooled[1].failures == 1
    assert bench.pooled[1].usable != trips


@on_virtual_clock
async def test_each_step_has_its_own_timeout() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN, NOTE, CHOOSE),)).open()
    bench.drop()
    connection = await bench.green.connection()
    await asyncio.sleep(TIMEOUT - 0.1)
    connection.reply("welcome")
    await asyncio.sleep(TIMEOUT - 0.1)
    assert connection.close_request is None
    await asyncio.sleep(0.2)
    assert connection.close_request is not None


@on_virtual_clock
async def test_a_connection_that_takes_nothing_times_out_like_one_that_does_not_answer() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN, NOTE),)).open()
    bench.drop()
    connection = await bench.green.connection()
    connection.set_writable(False)
    connection.reply("welcome")
    await asyncio.sleep(TIMEOUT - 0.1)
    assert connection.close_request is None
    await asyncio.sleep(0.2)
    assert connection.texts == ["login"]
    assert connection.close_request is not None


@on_virtual_clock
async def test_the_timeout_stands_still_while_the_backend_is_not_read() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN, CHOOSE),)).open()
    bench.say("A")
    bench.session.client_writable(False)
    bench.drop()
    connection = await bench.green.connection()
    assert connection.paused
    connection.reply("welcome")
    await asyncio.sleep(3 * TIMEOUT)
    bench.session.client_writable(True)
    await idle()
    assert connection.texts == ["login", "choose"]
    await asyncio.sleep(TIMEOUT - 1)
    bench.session.client_writable(False)
    await asyncio.sleep(TIMEOUT)
    bench.session.client_writable(True)
    await asyncio.sleep(0.9)
    assert connection.close_request is None
    await asyncio.sleep(0.2)
    assert connection.close_request is not None


@on_virtual_clock
async def test_the_timeout_stands_still_while_the_whole_backend_is_unwritable() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN),)).open()
    bench.say("A")
    bench.drop()
    connection = await bench.green.connection()
    bench.pooled[1].writable = False
    await asyncio.sleep(10 * TIMEOUT)
    bench.pooled[1].writable = True
    connection.reply("welcome")
    assert connection.texts == ["login", "A"]


@pytest.mark.parametrize("fail", FAILURES)
@on_virtual_clock
async def test_a_planned_move_whose_hydration_fails_goes_on_to_another_backend(fail: Any) -> None:
    backends = [FakeBackend(name, acknowledge=True) for name in ("blue", "green", "red")]
    bench = await RelayBench(*backends, valves=(hydrating(STRICT),)).open()
    bench.say("A")
    bench.pooled[0].enabled = False
    assert bench.session.move()
    connection = await bench.green.connection()
    bench.say("B")
    await fail(connection)
    other = await bench.backends[2].connection()
    other.reply("welcome")
    await idle()
    assert other.texts == ["login", "B"]
    assert bench.client.closed is None


@pytest.mark.parametrize("fail", FAILURES)
@on_virtual_clock
async def test_after_a_failed_hydration_a_flush_goes_to_the_next_backend(fail: Any) -> None:
    bench = await RelayBench(
        FakeBackend("blue", acknowledge=True), FakeBackend("green"), valves=(hydrating(STRICT),)
    ).open()
    bench.drop()
    connection = await bench.green.connection()
    bench.say("A")
    bench.leave()
    await fail(connection)
    other = await bench.blue.connection(1)
    other.reply("welcome")
    await bench.until_ended()
    assert other.texts == ["login", "A"]
    assert bench.counters.undelivered.value == 0


@on_virtual_clock
async def test_the_close_timeout_ends_a_flush_if_every_hydration_fails() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN),)).open()
    bench.drop()
    await bench.green.connection()
    bench.say("A")
    bench.leave()
    await bench.until_ended()
    assert time() == pytest.approx(bench.limits.close_timeout, abs=0.1)
    assert bench.counters.undelivered.value == 1


@on_virtual_clock
async def test_failed_hydrations_make_no_message_suspicious() -> None:
    bench = await RelayBench(valves=(hydrating(STRICT),)).open()
    bench.say("poison")
    bench.drop()
    for number in range(3):
        (await bench.green.connection(number)).reply("refused")
        (await bench.blue.connection(number + 1)).reply("refused")
    connection = await bench.green.connection(3)
    connection.reply("welcome")
    assert connection.texts == ["login", "poison"]


@on_virtual_clock
async def test_suspicious_messages_follow_the_hydration_one_by_one() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN),)).open()
    bench.say("A", "B")
    bench.drop()
    for backend, number in ((bench.green, 0), (bench.blue, 1)):
        connection = await backend.connection(number)
        connection.reply("welcome")
        assert connection.texts == ["login", "A", "B"]
        connection.drop()
    connection = await bench.green.connection(1)
    await asyncio.sleep(2)
    connection.reply("welcome")
    assert connection.texts == ["login"]
    await asyncio.sleep(1.1)
    assert connection.texts == ["login", "A"]
    connection.acknowledge()
    assert connection.texts == ["login", "A", "B"]


@on_virtual_clock
async def test_a_backend_going_down_during_a_hydration_is_no_death() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN),), breaker_threshold=1).open()
    bench.say("A")
    bench.blue.connections[0].reply("1")  # so that it is not blamed
    bench.drop()
    await bench.green.connection()
    bench.pooled[1].losses += 1
    bench.session.lose_backend(Close(1013, "broker lost", abnormal=True))
    other = await bench.blue.connection(1)
    other.reply("welcome")
    assert other.texts == ["login", "A"]
    assert bench.pooled[1].failures == 0


@on_virtual_clock
async def test_a_backend_that_floods_instead_of_answering_is_left_at_the_timeout() -> None:
    bench = await RelayBench(valves=(hydrating(Hydration(None, answered_by("never"))),)).open()
    bench.drop()
    connection = await bench.green.connection()
    while connection.close_request is None and time() < 60:
        for _ in range(10):
            connection.reply("flood")
        await asyncio.sleep(0.1)
    assert time() == pytest.approx(TIMEOUT, abs=0.3)
    heard = len(bench.client.texts)
    connection.reply("flood")
    assert len(bench.client.texts) == heard


async def lives(backend: FakeBackend) -> AsyncIterator[FakeConnection]:
    """Iterate over a backend's connections, each when it is started."""
    number = 0
    while True:
        yield await backend.connection(number)
        number += 1


@pytest.mark.parametrize("max_replays", [1, 3])
@on_virtual_clock
async def test_a_hydration_that_kills_backends_ends_its_session(
    max_replays: int, caplog: pytest.LogCaptureFixture
) -> None:
    only = FakeBackend("only")
    failover = FailoverOptions.model_validate({"max-replays": max_replays, "hold": 300})
    bench = await RelayBench(only, valves=(hydrating(LOGIN),), failover=failover).open()
    bench.drop()
    async for connection in lives(only):
        if connection is not only.connections[0]:
            await connection.until_received(1)
            assert connection.texts == ["login"]
            connection.drop()
        if bench.ended:
            break
    assert len(only.connections) == 1 + 2 + max_replays
    assert bench.client.closed == Close(
        1011, "several backends died with the same message in flight"
    )
    assert bench.counters.poisoned.value == 1
    assert "with the same hydration in flight" in caplog.text


@on_virtual_clock
async def test_a_suspicious_hydration_waits_until_the_connection_has_lasted() -> None:
    only = FakeBackend("only")
    failover = FailoverOptions.model_validate({"stable": 1, "hold": 300})
    bench = await RelayBench(only, valves=(hydrating(LOGIN),), failover=failover).open()
    bench.drop()
    for number in (1, 2):
        connection = await only.connection(number)
        await connection.until_received(1)
        connection.drop()
    for number in range(3, 13):  # they accept and drop
        connection = await only.connection(number)
        assert connection.texts == []
        connection.drop()
    connection = await only.connection(13)
    begin = time()
    await connection.until_received(1)
    assert time() - begin == pytest.approx(1)
    connection.reply("welcome")
    bench.say("A")
    assert connection.texts == ["login", "A"]
    assert bench.counters.poisoned.value == 0
    # Nothing is suspicious any more.
    connection.drop()
    connection = await only.connection(14)
    await idle()
    assert connection.texts == ["login"]


@on_virtual_clock
async def test_of_sessions_that_lose_a_backend_together_only_the_deadly_one_ends() -> None:
    """The backend that reads the deadly login drops all sessions that it has not answered yet."""

    def make(view: Session) -> MessageValve:
        return Hydrating(view, lambda: [Hydration(as_message(view.id), answered_by("welcome"))])

    bench = RelayBench(
        FakeBackend("only"), valves=(valve(make),), failover=FailoverOptions(hold=300)
    )
    clients = []
    for number in range(10):
        session = RelaySession(f"session-{number}", bench.handshake, bench.context)
        await session.open()
        clients.append(FakeClient())
        session.start(clients[-1])
    deadly, answered = "session-3", set[FakeConnection]()
    for connection in list(bench.blue.connections):
        connection.drop()
    served: list[FakeConnection] = []
    async with asyncio.timeout(600):
        while not (clients[3].closes and len(served) == 9):
            await asyncio.sleep(0.1)
            live = [each for each in bench.blue.connections if each.ended is None]
            if any(deadly in connection.texts for connection in live):
                for connection in live:
                    connection.drop()
            for connection in live:
                if connection.ended is None and connection.texts and connection not in answered:
                    answered.add(connection)
                    connection.reply("welcome")
            served = [each for each in answered if each.ended is None]
    assert clients[3].closed == Close(1011, "several backends died with the same message in flight")
    assert bench.counters.poisoned.value == 1
    assert not any(client.closes for client in clients if client is not clients[3])


class TwoSuspects:
    """Two sessions with suspicious hydrations: two backends have died of each.

    Args:
        last: what is offered from then on.

    Attributes:
        first, second: in the order in which they may be prepared.
        told, waiting: their connections.
    """

    def __init__(self, last: Hydration) -> None:
        self._steps = [LOGIN]
        self._last = last
        self._bench = RelayBench(
            FakeBackend("only"),
            valves=(valve(lambda view: Hydrating(view, lambda: list(self._steps))),),
            failover=FailoverOptions(hold=300),
        )

    async def open(self) -> TwoSuspects:
        bench, sessions = self._bench, dict[str, RelaySession]()
        for id_ in "ab":
            sessions[id_] = RelaySession(id_, bench.handshake, bench.context)
            await sessions[id_].open()
            sessions[id_].start(FakeClient())
        for number in range(3):
            if number == 2:
                self._steps = [self._last]
            for connection in bench.blue.connections[-2:]:
                connection.drop()
            await bench.blue.connection(2 * number + 3)
            await idle()
        self.told, self.waiting = bench.blue.connections[-2:]
        self.first = sessions[self.told.request.session_id]
        self.second = sessions[self.waiting.request.session_id]
        return self


@pytest.mark.parametrize("end", ["close", "flush"])
@on_virtual_clock
async def test_a_session_that_ends_before_its_hydration_gives_the_lock_back_at_once(
    end: str,
) -> None:
    suspects = await TwoSuspects(Hydration(as_message("late"), answered_by("welcome"))).open()
    suspects.told.set_writable(False)  # its turn comes, and nothing can be sent
    await asyncio.sleep(4)
    assert (suspects.told.texts, suspects.waiting.texts) == ([], [])
    if end == "close":
        suspects.first.close(1000)
    else:
        suspects.first.client_closed(Close(1000))
    assert suspects.waiting.texts == ["late"]
    suspects.second.close(1000)


@on_virtual_clock
async def test_a_session_that_ends_during_its_hydration_gives_the_lock_back_after_a_while() -> None:
    suspects = await TwoSuspects(LOGIN).open()
    await suspects.told.until_received(1)
    started = time()
    suspects.first.close(1000)
    await suspects.waiting.until_received(1)
    assert time() - started == pytest.approx(FailoverOptions().stable, abs=0.1)
    suspects.second.close(1000)
