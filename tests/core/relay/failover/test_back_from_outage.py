"""While all backends are away, one scout dials each; when one is back, all sessions go on."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from statistics import median

import pytest

from wsgw_core.api import BackendUnreachable, DialRequest, Sink
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.relay.session.session import Session
from wsgw_core.testing.fakes import (
    Accept,
    FakeBackend,
    FakeClient,
    FakeConnection,
    Hang,
    Unavailable,
)
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench

SESSIONS = 100


class WatchedBackend(FakeBackend):
    """Counts simultaneous dials, and notes when each one began."""

    def __init__(self, backend_id: str) -> None:
        super().__init__(backend_id)
        self.in_flight = self.most = 0
        self.begun: list[float] = []
        self.accepted: list[float] = []

    async def connect(self, request: DialRequest, sink: Sink) -> FakeConnection:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        self.begun.append(now())
        try:
            connection = await super().connect(request, sink)
        finally:
            self.in_flight -= 1
        self.accepted.append(now())
        return connection

    def vanish(self) -> None:
        """Break all connections; dials are refused, which takes a moment."""
        self.go_down()
        self.otherwise = Unavailable("refused", after=0.03, error=BackendUnreachable)
        self.most = self.in_flight


def now() -> float:
    return asyncio.get_running_loop().time()


async def crowd(bench: RelayBench) -> list[FakeClient]:
    clients = []
    for number in range(SESSIONS):
        session = Session(f"session-{number}", bench.handshake, bench.context)
        await session.open()
        clients.append(FakeClient())
        session.start(clients[-1])
    return clients


@pytest.mark.parametrize("names", [("blue",), ("blue", "green", "red")])
@pytest.mark.parametrize("threshold", [-1, 10])
@on_virtual_clock
async def test_held_sessions_get_a_backend_soon_after_it_listens_again(
    names: tuple[str, ...], threshold: int
) -> None:
    backends = [WatchedBackend(name) for name in names]
    bench = RelayBench(*backends, breaker_threshold=threshold)
    clients = await crowd(bench)
    for backend in backends:
        backend.vanish()
    await asyncio.sleep(7)
    assert [backend.most for backend in backends] == [1] * len(backends)
    back, before = backends[-1], len(backends[-1].accepted)
    begun = now()
    back.come_up()
    await asyncio.sleep(2)
    waited = [each - begun for each in back.accepted[before:]]
    assert len(waited) == SESSIONS
    assert median(waited) <= 0.3
    assert max(waited) <= 1
    assert not any(client.closes for client in clients)


@on_virtual_clock
async def test_one_held_session_dials_as_often_as_many() -> None:
    blue = WatchedBackend("blue")
    bench = await RelayBench(blue).open()
    blue.vanish()
    await asyncio.sleep(10)
    looks = len(blue.begun) - 1
    assert 10 / (0.125 + 0.03) <= looks <= 10 / 0.075
    begun = now()
    blue.come_up()
    await blue.connection(1)
    assert now() - begun <= 0.25
    assert bench.client.closed is None


@on_virtual_clock
async def test_a_frozen_backend_does_not_keep_a_client_from_one_that_is_back() -> None:
    frozen, gone = WatchedBackend("frozen"), WatchedBackend("gone")
    bench = await RelayBench(frozen, gone).open()
    gone.vanish()
    frozen.vanish()
    frozen.otherwise = Hang()
    await asyncio.sleep(3)
    gone.come_up()
    begun = now()
    await gone.connection()
    assert now() - begun <= 0.3
    assert frozen.most == 1
    assert bench.client.closed is None


@on_virtual_clock
async def test_a_rejected_replay_does_not_try_the_frozen_backend_each_round() -> None:
    frozen, strict = WatchedBackend("frozen"), WatchedBackend("strict")
    bench = await RelayBench(frozen, strict).open()
    bench.say("A")
    frozen.otherwise = Hang()
    bench.drop(frozen)

    async def reject() -> None:
        number = 0
        while True:
            connection = await strict.connection(number)
            connection.hang_up(1011, "no such session", abnormal=True)
            number += 1

    rejecting = asyncio.create_task(reject())
    await asyncio.sleep(10)
    rejecting.cancel()
    rounds = strict.begun
    assert len(rounds) >= 4
    longest = FailoverOptions().max_backoff + 0.2
    assert all(later - sooner <= longest for sooner, later in pairwise(rounds))
    assert 1 <= len(frozen.begun) - 1 <= 5
    assert frozen.most == 1


@on_virtual_clock
async def test_a_frozen_backend_that_thaws_gets_the_session_that_another_one_rejects() -> None:
    frozen, strict = WatchedBackend("frozen"), WatchedBackend("strict")
    bench = await RelayBench(frozen, strict).open()
    frozen.otherwise = Hang()
    bench.drop(frozen)
    strict.otherwise = Accept(after=0.01)

    async def reject() -> None:
        number = 0
        while True:
            connection = await strict.connection(number)
            connection.hang_up(1012, "no such session", abnormal=True)
            number += 1

    rejecting = asyncio.create_task(reject())
    await asyncio.sleep(4)
    frozen.come_up()
    await frozen.connection(1)
    rejecting.cancel()
    assert bench.session.backend_id == "frozen"


@on_virtual_clock
async def test_new_clients_need_not_wait_for_a_scout() -> None:
    blue = WatchedBackend("blue")
    bench = await RelayBench(blue).open()
    blue.vanish()
    await idle()
    blue.otherwise = Hang()
    await asyncio.sleep(1)
    blue.otherwise = Accept()
    await Session("new", bench.handshake, bench.context).open()
    await blue.connection(2)  # and the one that was held goes on, its scout still hanging or not
    assert bench.session.backend_id == "blue"


@on_virtual_clock
async def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind() -> None:
    blue = WatchedBackend("blue")
    bench = await RelayBench(blue).open()
    blue.vanish()
    await asyncio.sleep(1)
    bench.leave()
    await bench.until_ended()
    looks = len(blue.begun)
    await asyncio.sleep(10)
    assert len(blue.begun) <= looks + 1


@on_virtual_clock
async def test_a_backend_that_accepts_and_drops_gets_one_dial_at_a_time_and_ever_fewer() -> None:
    blue = WatchedBackend("blue")
    bench = RelayBench(blue)
    await crowd(bench)
    blue.vanish()
    looks: list[int] = []
    for _ in range(20):
        before = len(blue.begun)
        await asyncio.sleep(0.5)
        assert blue.most <= 1
        looks.append(len(blue.begun) - before)
        before = len(blue.begun)
        blue.come_up()
        await asyncio.sleep(0.5)
        assert len(blue.begun) - before <= SESSIONS  # no session is connected to it twice
        blue.vanish()
    assert max(looks) <= 0.5 / 0.075 + 1
    assert looks[0] >= 3
    assert looks[10:] == [0] * 10  # sessions that it has dropped back off
    await idle()  # all that it has dropped last have begun to search, before the loop is closed
