"""With valves that wait and hydrate, no order of events loses a message or keeps a session."""

from __future__ import annotations

import asyncio
from itertools import cycle

from hypothesis import given, settings
from hypothesis import strategies as st

from wsgw_core.api import Close, Hydration, HydrationRefused, Message, Session
from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.testing.fakes import Accept, FakeBackend, FakeConnection, Hang, Unavailable
from wsgw_core.testing.fakes import as_message as text
from wsgw_core.testing.virtual_clock import run_virtual

from ..relay_bench import RelayBench, valve

HOLD, CLOSE_TIMEOUT = 5.0, 3.0
ANSWERS = (Accept(), Accept(after=0.3), Unavailable(), Hang())
NAMES = (
    *(
        "say",
        "say",
        "acknowledge",
        "acknowledge",
        "reply",
        "welcome",
        "refuse",
        "drop",
        "hang_up",
        "let_answer",
    ),
    *("fail_over", "move", "pass_time", "leave", "close_client", "client_writable"),
)
STEPS = st.tuples(
    st.sampled_from(NAMES),
    st.integers(0, 7),
)


def welcomed(message: Message) -> bool:
    if message.text == "refused":
        raise HydrationRefused("refused")
    return message.text == "welcome"


class Waiting:
    """Takes the next of some times for each message, in both directions; hydrates."""

    def __init__(self, times: list[float], steps: int) -> None:
        self._times = cycle(times)
        self._steps = steps

    async def before_transmit(self, message: Message) -> Message:
        await asyncio.sleep(next(self._times))
        return message

    async def after_receive(self, message: Message) -> Message:
        await asyncio.sleep(next(self._times))
        return message

    def hydrate(self) -> list[Hydration]:
        return [Hydration(text("login"), welcomed)] * self._steps


class World:
    """A session and its ends; each step is a method. Also a listener of the session."""

    def __init__(self, times: list[float], steps: int, *, answer_close: bool) -> None:
        def make(_: Session) -> Waiting:
            return Waiting(times, steps)

        self.bench = RelayBench(
            FakeBackend("blue", answer_close=answer_close),
            FakeBackend("green", answer_close=answer_close),
            failover=FailoverOptions(hold=HOLD, dial_timeout=2, hydration_timeout=2),
            limits=LimitOptions(close_timeout=CLOSE_TIMEOUT),
            drain=DrainOptions(quiet=0.2, patience=1),
            valves=(valve(make),),
            listeners=(self,),
        )
        self.said = 0
        self.has_left = False
        self.left_at = self.ended_at = 0.0
        self.was_closed = False  # by its backend

    # Methods of a listener

    def session_created(self, session: Session) -> None:
        pass

    def session_failed_over(self, session: Session, old: str | None, new: str) -> None:
        pass

    def session_terminated(self, session: Session, close: Close) -> None:
        self.ended_at = asyncio.get_running_loop().time()

    # Steps

    @property
    def live(self) -> FakeConnection | None:
        sink = self.bench.session.backend_side.sink
        connection = None if sink is None else sink.connection.plugin_connection
        assert connection is None or isinstance(connection, FakeConnection)
        return connection if connection and connection.ended is None else None

    def say(self, count: int) -> None:
        for _ in range(count):
            closed = self.has_left or self.bench.ended or self.bench.client.closes
            if self.bench.client.reading and not closed:
                self.bench.say(str(self.said))
                self.said += 1

    def acknowledge(self, count: int) -> None:
        if self.live:
            self.live.acknowledge(min(count, self.live.outstanding))

    def reply(self, _number: int, content: str = "reply") -> None:
        if self.live and self.live.started and not self.live.paused:
            self.live.reply(content)

    def welcome(self, _number: int) -> None:
        self.reply(0, "welcome")

    def refuse(self, _number: int) -> None:
        self.reply(0, "refused")

    def drop(self, _number: int) -> None:
        if self.live:
            self.live.drop()

    def hang_up(self, number: int) -> None:
        if number == 0 and self.live and self.live.started:
            self.was_closed = True
            self.live.hang_up(1000)

    def let_answer(self, number: int) -> None:
        self.bench.backends[number % 2].otherwise = ANSWERS[number // 2]

    def fail_over(self, number: int) -> None:
        self.bench.session.fail_over(must_leave=number == 0)

    def move(self, _number: int) -> None:
        self.bench.session.move()

    async def pass_time(self, number: int) -> None:
        await asyncio.sleep(number / 4)

    def leave(self, _number: int) -> None:
        if not self.has_left:
            self.has_left = True
            self.left_at = asyncio.get_running_loop().time()
            self.bench.leave()

    def close_client(self, number: int) -> None:
        if number == 0:
            self.bench.session.close_client(1012, "stopping")

    def client_writable(self, number: int) -> None:
        if not self.has_left:
            self.bench.session.client_writable(number > 0)

    def check(self) -> None:
        """Checks what the backends got, after the end."""
        assert self.bench.ended
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert len(self.bench.table) == 0
        assert [each.active + each.dialling + each.proved for each in self.bench.pooled] == [0, 0]
        got: set[int] = set()
        for connection in (each for backend in self.bench.backends for each in backend.connections):
            assert connection.faults == connection.ignored == []
            numbers = [int(each) for each in connection.texts if each != "login"]
            assert numbers == [*range(numbers[0], numbers[-1] + 1)] if numbers else True
            got.update(numbers)
        assert got == {*range(len(got))}
        counters = self.bench.counters
        assert self.said - len(got) <= counters.undelivered.value
        has_timed_out = self.ended_at - self.left_at > CLOSE_TIMEOUT - 0.001
        found_none = counters.holds_expired.value or counters.poisoned.value
        if not (self.was_closed or has_timed_out or found_none):
            assert counters.undelivered.value == 0


async def play(world: World, script: list[tuple[str, int]]) -> None:
    await world.bench.open()
    for name, number in script:
        outcome = getattr(world, name)(number)
        if asyncio.iscoroutine(outcome):
            await outcome
    world.leave(0)
    world.drop(0)
    await asyncio.sleep(CLOSE_TIMEOUT + 2.1)  # a dial may take its whole timeout
    world.check()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    script=st.lists(STEPS, max_size=25),
    times=st.lists(st.sampled_from((0.0, 0.1, 1.0)), min_size=1, max_size=4),
    steps=st.integers(0, 2),
    answer_close=st.booleans(),
)
def test_no_order_of_events_loses_a_message_or_keeps_a_session(
    script: list[tuple[str, int]], times: list[float], steps: int, *, answer_close: bool
) -> None:
    async def run() -> None:
        await play(World(times, steps, answer_close=answer_close), script)

    run_virtual(run())
