"""In any order of events no message is lost, and every session ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsgw_core.api import Close, Session
from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.relay.moves.drain import Drains
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import (
    Accept,
    Answer,
    Decline,
    FakeBackend,
    FakeConnection,
    Hang,
    Unavailable,
    as_message,
)
from wsgw_core.testing.virtual_clock import idle, run_virtual

from ..relay_bench import PassingValve, RelayBench, valve

HOLD, CLOSE_TIMEOUT = 5.0, 3.0
SUSPICIOUS = 3  # deaths after which messages are replayed one at a time
SERVING = (
    State.RELAYING,
    State.SETTLING,
    State.LEAVING,
    State.FLUSHING,
    State.FLUSH_LEAVING,
)
LEDGER_MESSAGES = 3


@dataclass(frozen=True)
class Step:
    """One thing that happens; `do` is a method of World."""

    do: str
    number: int = 0

    def __repr__(self) -> str:
        return f"{self.do}({self.number})"


ANSWERS: tuple[Answer, ...] = (
    Accept(),
    Accept(after=0.3),
    Unavailable(),
    Unavailable(after=0.3),
    Hang(),
    Decline(429),
    Accept(subprotocol="not offered"),
)

STEPS = st.one_of(
    st.builds(Step, st.just("say"), st.integers(1, 5)),
    st.builds(Step, st.just("acknowledge"), st.sampled_from([1, 2, 99])),
    st.builds(Step, st.just("reply")),
    st.builds(Step, st.just("drop")),
    st.builds(Step, st.just("pass_time"), st.integers(0, 5000)),
    st.builds(Step, st.just("let_blue_answer"), st.integers(0, len(ANSWERS) - 1)),
    st.builds(Step, st.just("let_green_answer"), st.integers(0, len(ANSWERS) - 1)),
    st.builds(Step, st.just("backend_writable"), st.integers(0, 1)),
    st.builds(Step, st.just("client_writable"), st.integers(0, 1)),
    st.builds(Step, st.just("fail_over")),
    st.builds(Step, st.just("move")),
    st.builds(Step, st.just("drain"), st.integers(0, 1)),
    st.builds(Step, st.just("enable"), st.integers(0, 1)),
    st.builds(Step, st.just("inject")),
    st.builds(Step, st.just("ping"), st.integers(1, 20)),
    st.builds(Step, st.just("pong")),
    st.builds(Step, st.just("rouse_the_dead")),
)
ENDINGS = st.one_of(
    st.builds(Step, st.just("leave"), st.sampled_from([1000, 1005, 1006, 4000])),
    st.builds(Step, st.just("hang_up"), st.sampled_from([1000, 4000])),
    st.builds(Step, st.just("decline")),
    st.builds(Step, st.just("close")),
    st.builds(Step, st.just("close_client")),
)
SCRIPTS = st.tuples(
    st.lists(STEPS, max_size=30), st.lists(ENDINGS, max_size=2), st.lists(STEPS, max_size=10)
).map(lambda parts: [*parts[0], *parts[1], *parts[2]])


@dataclass
class Leg:
    """One connection that served the session."""

    connection: FakeConnection
    first: int  # the number of its first message
    frozen: int | None = None  # acknowledged when the session let go of it
    over: bool = False
    writable: bool = True

    @property
    def acknowledged(self) -> int:
        return self.connection.acknowledged if self.frozen is None else self.frozen

    def freeze(self) -> None:
        """Note that what is acknowledged from now on does not count."""
        self.frozen = self.acknowledged


@dataclass(frozen=True)
class Kind:
    """The settings of a World."""

    answer_close: bool = False
    with_valve: bool = False
    enabled: bool = True
    at_most_once: bool = False


class World:
    """A session, its ends, and what must be true of them; also a listener of the session."""

    def __init__(self, kind: Kind) -> None:
        self.bench = RelayBench(
            FakeBackend("blue", answer_close=kind.answer_close),
            FakeBackend("green", answer_close=kind.answer_close),
            failover=FailoverOptions(
                enabled=kind.enabled,
                hold=HOLD,
                dial_timeout=2,
                delivery="at-most-once" if kind.at_most_once else "at-least-once",
            ),
            limits=LimitOptions(close_timeout=CLOSE_TIMEOUT, ledger_messages=LEDGER_MESSAGES),
            drain=DrainOptions(quiet=0.2, patience=1),
            listeners=(self,),
            valves=(valve(PassingValve),) if kind.with_valve else (),
        )
        self.kind = kind
        self.client = self.bench.client
        self.drains = Drains(self.bench.pool, self.bench.table, lambda: 10.0)
        self.said = 0
        self.replies = 0
        self.legs: list[Leg] = []
        self.left: Close | None = None
        self.left_at = 0.0
        self.ended_at = 0.0
        self.excuses: set[str] = set()
        self.drops = 0
        self.injected = 0
        self.pings = 0
        self.dismissed = False
        self.terminated: list[Close] = []

    # Methods of a listener

    def session_created(self, session: Session) -> None:
        self._take(session.backend_id)

    def session_failed_over(self, session: Session, old: str | None, new: str) -> None:
        self._take(new)

    def session_terminated(self, session: Session, close: Close) -> None:
        self.terminated.append(close)
        if self.legs:
            self.legs[-1].freeze()
        self.ended_at = asyncio.get_running_loop().time()

    def _take(self, backend_id: str | None) -> None:
        backend = next(each for each in self.bench.backends if each.backend_id == backend_id)
        for leg in self.legs:
            leg.over = True
        self.legs.append(Leg(backend.connections[-1], self.settled))

    # Facts

    @property
    def acknowledged(self) -> int:
        return sum(leg.acknowledged for leg in self.legs)

    @property
    def settled(self) -> int:
        """How many messages no backend will be sent any more."""
        if not self.kind.at_most_once:
            return self.acknowledged
        return sum(
            len(leg.connection.received) if leg.over else leg.acknowledged for leg in self.legs
        )

    @property
    def live(self) -> Leg | None:
        serving = self.bench.session.state in SERVING
        return self.legs[-1] if serving else None

    # Steps

    def say(self, count: int) -> None:
        for _ in range(count):
            closed = self.bench.ended or (self.client.closes and not self.dismissed)
            if self.left is None and self.client.reading and not closed:
                self.bench.say(str(self.said))
                self.said += 1

    def acknowledge(self, count: int) -> None:
        if self.live and self.live.connection.ended is None:
            self.live.connection.acknowledge(min(count, self.live.connection.outstanding))

    def reply(self, _number: int) -> None:
        if self.live and not self.live.connection.paused:
            self.replies += self.live.connection.reply(f"reply {self.replies}")

    def drop(self, _number: int) -> None:
        if self.live:
            if not self.bench.failover.enabled:
                self.excuses.add("the backend closed")
            self.drops += 1
            self.live.connection.drop()

    async def pass_time(self, milliseconds: int) -> None:
        await asyncio.sleep(milliseconds / 1000)

    def let_blue_answer(self, number: int) -> None:
        self.bench.blue.otherwise = ANSWERS[number]

    def let_green_answer(self, number: int) -> None:
        self.bench.green.otherwise = ANSWERS[number]

    def backend_writable(self, number: int) -> None:
        if self.live and self.live.connection.started:
            self.live.writable = bool(number)
            self.live.connection.set_writable(self.live.writable)

    def client_writable(self, number: int) -> None:
        if self.left is None:
            self.bench.session.client_writable(bool(number))

    def fail_over(self, _number: int) -> None:
        acknowledged = self.acknowledged
        live = self.live
        self.bench.session.fail_over()
        if live and not self.live and not self.bench.ended:  # a replay with suspects is cut short
            live.frozen = acknowledged - sum(leg.acknowledged for leg in self.legs[:-1])

    def move(self, _number: int) -> None:
        self.bench.session.move()

    def drain(self, number: int) -> None:
        """Report a whole backend as down, with the session that it may have."""
        self.drains.begin(self.bench.pooled[number])

    def enable(self, number: int) -> None:
        self.drains.call_off(self.bench.pooled[number])

    def inject(self, _number: int) -> None:
        self.bench.session.view().send_to_client(as_message(f"reply {self.replies}"))
        self.replies += self.bench.session.client is not None and not self.dismissed
        if self.live and self.live.connection.close_request is not None:
            self.excuses.add("said behind the close")
        if not self.bench.ended:
            self.bench.session.view().send_to_backend(as_message(str(self.said)))
            self.said += 1
            self.injected += 1

    def ping(self, count: int) -> None:
        for _ in range(count):
            closed = self.bench.ended or self.client.closes
            if self.left is None and not closed:
                self.pings += 1
                self.bench.session.client_pinged(b"%d" % self.pings)

    def pong(self, _number: int) -> None:
        """Have every connection answer all its pings, even connections that have ended."""
        for leg in self.legs:
            for answer in leg.connection.pings:
                answer()
        told = self.left is not None or self.client.closes
        if self.pings and self.live and not (told or self.live.connection.close_request):
            assert self.client.pongs[-1] == b"%d" % self.pings, "the last ping has its answer"

    def close_client(self, _number: int) -> None:
        self.dismissed |= self.bench.session.client is not None
        self.bench.session.close_client(1012, "stopping")

    def rouse_the_dead(self, _number: int) -> None:
        for leg in self.legs:
            if leg is not self.live and leg.connection.ended is None:
                leg.freeze()
                leg.connection.acknowledge()
                leg.connection.reply("from the dead")
                leg.connection.drop()

    def leave(self, code: int) -> None:
        if self.left is None:
            self.left = Close(code)
            self.left_at = asyncio.get_running_loop().time()
            self.bench.leave(code, violation=False)

    def hang_up(self, code: int) -> None:
        if self.live and self.live.connection.ended is None:
            if self.bench.session.state.is_leaving:  # any answer ends only the connection
                self.live.frozen = len(self.live.connection.received)
            else:
                self.excuses.add("the backend closed")
            self.live.connection.hang_up(code)

    def decline(self, _number: int) -> None:
        self.excuses.add("declined")
        self.bench.blue.otherwise = self.bench.green.otherwise = Decline(403)

    def close(self, _number: int) -> None:
        self.excuses.add("the operator")
        if self.live:
            self.live.freeze()
        self.bench.session.close(1000, "operator")

    # Checks

    def check(self) -> None:
        if self.legs and not self.live:
            self.legs[-1].over = True
        for leg in self.legs:
            numbers = [int(message.text) for message in leg.connection.received]
            assert numbers == list(range(leg.first, leg.first + len(numbers))), "lost or disordered"
            assert leg.connection.ignored == [], "sent behind a close"
            assert leg.connection.faults == []
        state = self.bench.session.state
        if self.live:
            given = self.live.first + len(self.live.connection.received)
            told = self.live.connection.close_request is not None
            if state is State.RELAYING and self.drops < SUSPICIOUS:
                assert given == self.said, "the backend was not given everything"
            if state is State.FLUSHING:
                assert told or self.said > self.acknowledged
            else:
                assert told is state.is_leaving
        if not self.bench.ended:
            assert self.bench.session.unacknowledged == self.said - self.settled
            assert self.bench.session.unacknowledged <= LEDGER_MESSAGES + self.injected
            assert self.bench.session.messages_received == self.said
            assert self.terminated == []
            if self.said == self.settled and self.left is None:
                reading = self.live is None or self.live.writable
                assert self.client.reading is reading, "nothing is owed"
        assert self.client.texts == [f"reply {number}" for number in range(self.replies)]
        assert self.client.received_late == []
        pongs = [int(payload) for payload in self.client.pongs]
        assert pongs == sorted(set(pongs)), "a ping was answered twice, or after a later one"
        assert len(self.client.closes) <= 1
        assert sum(each.active for each in self.bench.pooled) == (self.live is not None)

    async def end(self) -> None:
        """Let the client leave if it has not, and let the longest possible time pass."""
        self.drains.stop()
        self.leave(1000)
        await idle()
        if self.bench.ended:
            assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(HOLD + CLOSE_TIMEOUT + 1)
        self.check()
        assert self.bench.ended
        assert len(self.terminated) == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert len(self.bench.table) == 0
        undelivered = self.bench.counters.undelivered.value
        if any(close.code == 1013 for close in (*self.client.closes, *self.terminated)):
            self.excuses.add("no backend")
        if self.ended_at - self.left_at > CLOSE_TIMEOUT - 0.001:
            self.excuses.add("close timed out")
        last = self.legs[-1]
        assert undelivered == self.said - self.acknowledged
        if self.bench.counters.poisoned.value:
            assert self.drops > SUSPICIOUS
            self.excuses.add("poison")
        if undelivered:
            assert self.excuses or self.kind.at_most_once
        elif not self.excuses & {"the backend closed", "the operator", "declined"}:
            assert last.first + len(last.connection.received) == self.said


async def begin(script: list[Step], kind: Kind) -> World:
    """Run a script of steps."""
    world = World(kind)
    await world.bench.open()
    for step in script:
        act: Callable[[int], object] = getattr(world, step.do)
        outcome = act(step.number)
        if asyncio.iscoroutine(outcome):
            await outcome
        world.check()
    await idle()
    world.check()
    return world


async def play(script: list[Step], kind: Kind) -> None:
    world = await begin(script, kind)
    await world.end()


PLAIN = {"answer_close": False, "with_valve": False}


# Several short tests, since a busy machine takes its time, and one that takes minutes is ended.
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("at_most_once", [False, True])
@settings(max_examples=300, deadline=None, derandomize=True)
@example(script=[Step("say", 2), Step("leave", 1000), Step("drop")], **PLAIN)
@example(script=[Step("say", 2), Step("move"), Step("say", 1), Step("pass_time", 3000)], **PLAIN)
@given(script=SCRIPTS, answer_close=st.booleans(), with_valve=st.booleans())
def test_any_order_of_events_loses_nothing_and_ends(
    script: list[Step], *, answer_close: bool, with_valve: bool, enabled: bool, at_most_once: bool
) -> None:
    run_virtual(play(script, Kind(answer_close, with_valve, enabled, at_most_once)))


async def drain_at_last(script: list[Step]) -> None:
    world = await begin(script, Kind())
    if world.live and world.left is None and not world.dismissed:
        drained = world.bench.session.backend
        assert drained is not None
        for number, pooled in enumerate(world.bench.pooled):
            (world.drain if pooled is drained else world.enable)(number)
        world.let_blue_answer(0)
        world.let_green_answer(0)
        world.client_writable(1)
        world.backend_writable(1)

        await asyncio.sleep(4 * HOLD)  # longer than the longest wait

        world.check()
        assert world.bench.session.backend is not drained
        assert world.bench.ended or world.bench.session.state in SERVING
    await world.end()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(script=st.lists(STEPS, max_size=30))
def test_a_drained_backend_loses_its_session_whatever_happened_before(script: list[Step]) -> None:
    run_virtual(drain_at_last(script))
