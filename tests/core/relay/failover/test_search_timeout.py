"""`failover.search-timeout` bounds the whole search for a backend if there is no hold."""

from __future__ import annotations

import asyncio
import logging

import pytest
from websockets.datastructures import Headers

from wsgw_core.api import DialRequest, Sink
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.relay.all_sessions.routes import Route, Routes
from wsgw_core.relay.session.session_opener import Refused, SessionOpener
from wsgw_core.testing.fakes import Accept, FakeBackend, FakeConnection, Hang, Unavailable
from wsgw_core.testing.virtual_clock import on_virtual_clock

from ..relay_bench import RelayBench

MANY = 40


def now() -> float:
    return asyncio.get_running_loop().time()


def silent(count: int) -> list[FakeBackend]:
    backends = [FakeBackend(f"backend-{number}") for number in range(count)]
    for backend in backends:
        backend.otherwise = Hang()
    return backends


class SlowToRefuse(FakeBackend):
    """Fails after a while, so that a search goes on and on."""

    async def connect(self, request: DialRequest, sink: Sink) -> FakeConnection:
        await asyncio.sleep(1.5)
        return await super().connect(request, sink)


async def refused(bench: RelayBench) -> Refused:
    route = Route(None, (), bench.context)
    opener = SessionOpener(Routes([route]), bench.counters, logging.getLogger("wsgw.test"))
    with pytest.raises(Refused) as caught:
        await opener.open(bench.handshake, Headers())
    return caught.value


@pytest.mark.parametrize("hedge_after", [0, 2])
@on_virtual_clock
async def test_a_new_client_of_many_silent_backends_is_answered_504_in_time(
    hedge_after: float,
) -> None:
    options = FailoverOptions(hedge_after=hedge_after)
    bench = RelayBench(*silent(MANY), failover=options)
    begun = now()
    refusal = (await refused(bench)).refusal
    assert (refusal.status, refusal.body) == (504, b"no backend answered in time\n")
    assert now() - begun == pytest.approx(options.search_timeout)
    assert bench.counters.searches_timed_out.value == 1
    assert not any(pooled.dialling for pooled in bench.pooled)


@on_virtual_clock
async def test_slowly_failing_dials_are_bounded_too() -> None:
    backends = [SlowToRefuse(f"backend-{number}") for number in range(MANY)]
    for backend in backends:
        backend.otherwise = Unavailable("refused")
    bench = RelayBench(*backends, failover=FailoverOptions(search_timeout=10))
    begun = now()
    assert (await refused(bench)).refusal.status == 504
    assert now() - begun == pytest.approx(10)


@on_virtual_clock
async def test_backends_that_all_refuse_in_time_are_answered_502() -> None:
    bench = RelayBench()
    for backend in bench.backends:
        backend.otherwise = Unavailable("refused")
    assert (await refused(bench)).refusal.status == 502
    assert bench.counters.searches_timed_out.value == 0


@on_virtual_clock
async def test_one_silent_backend_and_a_search_shorter_than_a_dial_is_answered_504() -> None:
    bench = RelayBench(*silent(1), failover=FailoverOptions(search_timeout=3, hedge_after=0))
    begun = now()
    assert (await refused(bench)).refusal.status == 504
    assert now() - begun == pytest.approx(3)
    assert bench.pooled[0].failures == 1  # it had all of the search's time


@on_virtual_clock
async def test_a_dial_cut_short_by_the_search_timeout_is_no_failure() -> None:
    backends = silent(2)
    late = FakeBackend("late")
    late.otherwise = Accept(after=1.5)
    options = FailoverOptions(search_timeout=21, hedge_after=0)
    bench = RelayBench(*backends, late, failover=options)
    await refused(bench)
    assert len(late.requests) == 1
    assert [pooled.failures for pooled in bench.pooled] == [1, 1, 0]
    assert not bench.pooled[-1].absence.is_away


@on_virtual_clock
async def test_a_failover_without_hold_is_bounded_too() -> None:
    options = FailoverOptions(hold=0)
    bench = RelayBench(FakeBackend("blue"), *silent(MANY), failover=options)
    await bench.open()
    bench.blue.otherwise = Hang()
    bench.drop()
    begun = now()
    await bench.until_ended()
    assert now() - begun == pytest.approx(options.search_timeout, abs=0.1)
    assert bench.client.closed is not None
    assert bench.client.closed.code == 1013


@on_virtual_clock
async def test_dials_of_scouts_are_counted() -> None:
    blue = FakeBackend("blue")
    bench = await RelayBench(blue).open()
    blue.go_down()
    await asyncio.sleep(5)
    assert bench.counters.dials_scouting.value == len(blue.requests) - 1 > 10
