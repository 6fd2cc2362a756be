"""Which ends of connections count as closes, and by which side."""

from __future__ import annotations

from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench


def silent() -> RelayBench:
    """Returns a bench whose backend answers no close."""
    return RelayBench(FakeBackend("blue", answer_close=False), FakeBackend("green"))


@on_virtual_clock
async def test_a_close_of_the_backend_counts_once() -> None:
    bench = await RelayBench().open()
    bench.blue.connections[0].hang_up(1000)
    await idle()
    assert bench.ended
    assert bench.counters.closes == {("backend", "1000"): 1}


@on_virtual_clock
async def test_a_close_of_the_client_counts_and_the_backends_answer_does_not() -> None:
    bench = await RelayBench().open()
    bench.leave(4000, "bye")
    await idle()
    assert bench.ended
    assert bench.counters.closes == {("client", "4xxx"): 1}


@on_virtual_clock
async def test_a_loss_of_the_backend_counts_also_while_the_client_leaves() -> None:
    bench = await silent().open()
    bench.leave()
    bench.drop()
    assert bench.ended
    assert bench.counters.closes == {("client", "1000"): 1, ("backend", "1006"): 1}
