"""When all backends of a group have tripped, wsgw dials them at a limited rate."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import BackendUnavailable, BackendUnreachable, OutOfResources
from wsgw_core.pool.dialling.backend_search import NoBackend
from wsgw_core.testing.fakes import Accept, Hang, Unavailable
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..dial_bench import Bench, now, trip

_REFUSED = Unavailable("refused", error=BackendUnreachable)


def tripped_bench(*names: str) -> Bench:
    """Returns a bench whose backends have tripped and whose dials begin a second apart."""
    bench = Bench(*names)
    bench.limiters.change(100, 1)
    for each in bench.pooled:
        trip(each)
    return bench


@on_virtual_clock
async def test_the_backend_whose_failure_is_longest_ago_is_dialled_first() -> None:
    bench = Bench("a", "b", "c")
    for each in (bench.pooled[1], bench.pooled[2], bench.pooled[0]):
        trip(each)
        await asyncio.sleep(0.01)
    assert (await bench.dial()).backend.id == "b"
    assert now() == pytest.approx(0.03)
    assert not bench.pooled[1].breaker.tripped


@on_virtual_clock
async def test_each_tripped_backend_is_tried_before_the_search_fails() -> None:
    bench = tripped_bench("a", "b", "c")
    for backend in bench.backends:
        backend.otherwise = _REFUSED
    with pytest.raises(NoBackend, match="a: refused; b: refused; c: refused"):
        await bench.dial()


@on_virtual_clock
async def test_a_tripped_backend_is_tried_when_the_others_have_failed() -> None:
    bench = Bench("a", "b")
    trip(bench.pooled[1])
    bench.backends[0].otherwise = Unavailable()
    assert (await bench.dial(last=bench.pooled[0])).backend.id == "b"


@on_virtual_clock
async def test_a_disabled_backend_is_not_dialled() -> None:
    bench = tripped_bench("a")
    bench.pooled[0].enabled = False
    with pytest.raises(NoBackend):
        await bench.dial()
    assert bench.backends[0].requests == []


@on_virtual_clock
async def test_the_rate_of_dials_is_limited() -> None:
    bench = tripped_bench("a")
    bench.backends[0].otherwise = Hang()
    crowd = [asyncio.create_task(bench.dial()) for _ in range(50)]
    for seconds in range(5):
        await asyncio.sleep(0)
        await idle()
        assert len(bench.backends[0].requests) == seconds + 1
        await asyncio.sleep(1)
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    assert bench.limiters.waiting == 0


@on_virtual_clock
async def test_waiting_dials_go_on_when_another_dial_succeeds() -> None:
    bench = tripped_bench("a")
    bench.backends[0].otherwise = Accept(after=0.1)
    dials = [asyncio.create_task(bench.dial()) for _ in range(50)]
    await asyncio.gather(*dials)
    assert now() <= 1.2
    assert not bench.pooled[0].breaker.tripped


@on_virtual_clock
async def test_waiting_dials_fail_at_once_with_an_unreachable_one() -> None:
    bench = tripped_bench("a")
    bench.backends[0].otherwise = Unavailable("refused", after=0.1, error=BackendUnreachable)
    dials = [asyncio.create_task(bench.dial()) for _ in range(50)]
    found = await asyncio.gather(*dials, return_exceptions=True)
    assert {str(each) for each in found} == {"a: refused"}
    assert len(bench.backends[0].requests) == 1
    assert now() == pytest.approx(0.1)


@pytest.mark.parametrize(("kind", "paced"), [(BackendUnavailable, False), (OutOfResources, True)])
@on_virtual_clock
async def test_a_failure_that_a_client_may_provoke_fails_no_waiting_dial(
    kind: type[BackendUnavailable], paced: bool
) -> None:
    bench = tripped_bench("a")
    bench.backends[0].will(Unavailable(error=kind), Unavailable(error=kind))
    spoilers = [asyncio.create_task(bench.dial()) for _ in range(2)]
    await idle()
    assert (await bench.dial()).backend.id == "a"
    assert now() == (2 if paced else 0)  # what has failed in any other way can be reached
    for each in spoilers:
        with pytest.raises(NoBackend):
            await each


@on_virtual_clock
async def test_waiting_dials_move_to_a_backend_that_is_usable_again() -> None:
    bench = tripped_bench("a", "b")
    bench.backends[0].otherwise = Hang()
    dials = [asyncio.create_task(bench.dial()) for _ in range(3)]
    await asyncio.sleep(0.5)
    bench.pooled[1].reset()
    assert {each.backend.id for each in await asyncio.gather(*dials[1:])} == {"b"}
    assert now() == 0.5
    dials[0].cancel()  # the trial: nobody else finds out whether its backend is back


@on_virtual_clock
async def test_sessions_that_can_wait_dial_a_tripped_backend_every_half_second() -> None:
    bench = tripped_bench("a")
    bench.backends[0].otherwise = Hang()
    trials = [asyncio.create_task(bench.dial(deadline=60))]
    await idle()
    for turn in range(1, 5):
        await asyncio.sleep(0.1)
        trials.append(asyncio.create_task(bench.dial(deadline=60)))
        await idle()
        with pytest.raises(NoBackend, match="a: its breaker has tripped"):
            await bench.dial(deadline=60)
        assert len(bench.backends[0].requests) <= 1 + turn
        await asyncio.sleep(0.4)
    for task in trials:
        task.cancel()
    await asyncio.gather(*trials, return_exceptions=True)
    assert 3 <= len(bench.backends[0].requests) <= 5


@on_virtual_clock
async def test_a_dial_that_waits_too_long_times_out() -> None:
    bench = tripped_bench("a")
    bench.backends[0].otherwise = Hang()
    crowd = [asyncio.create_task(bench.dial()) for _ in range(5)]
    await idle()
    with pytest.raises(NoBackend, match="no free dial slot for 3 s"):
        await bench.dial(timeout=3)
    await asyncio.gather(*crowd, return_exceptions=True)


@on_virtual_clock
async def test_a_closed_breaker_does_not_space_dials() -> None:
    bench = Bench("a")
    bench.limiters.change(100, 1)
    bench.backends[0].otherwise = Accept(after=0.1)
    await asyncio.gather(*(bench.dial() for _ in range(100)))
    assert now() == pytest.approx(0.1)


@on_virtual_clock
async def test_thousands_of_failing_dials_do_not_delay_a_new_client() -> None:
    bench = Bench("a")  # a dial every 10 ms while it is unreachable
    bench.limiters.change(100, 0.01)
    for _ in range(10):
        bench.pooled[0].failed(now(), "status 503")
    bench.backends[0].otherwise = Unavailable("status 503", after=0.05)
    spoilers = [asyncio.create_task(bench.dial()) for _ in range(2000)]
    await idle()
    newcomer = asyncio.create_task(bench.dial())
    await idle()
    bench.backends[0].otherwise = Accept()
    await newcomer
    assert now() < 2
    await asyncio.gather(*spoilers, return_exceptions=True)
