"""The close code for each side in each case; the tables are written by hand."""

from __future__ import annotations

import pytest

from wsgw_core.api import BackendDeclined, Close
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.pool.dialling.backend_search import NoBackend
from wsgw_core.relay.session.close_rules import (
    close_after_loss,
    close_for_backend,
    close_without_backend,
)
from wsgw_core.testing.fakes import Decline, Fault
from wsgw_core.testing.virtual_clock import on_virtual_clock

from ..relay_bench import RelayBench

# What a client did, whether that breaks a rule, and what its backend hears.
TO_BACKEND = [
    (Close(1000, "bye"), False, Close(1000, "bye")),
    (Close(1001, "away"), False, Close(1001, "away")),
    (Close(1005), False, Close(1005)),
    (Close(1006, "reset"), False, Close(1001, "client lost")),
    (Close(4000, "own"), False, Close(4000, "own")),
    (Close(1002, "opcode"), True, Close(1001, "opcode")),
    (Close(1006, "too slow"), True, Close(1001, "too slow")),
    (Close(1009, "too big"), True, Close(1001, "too big")),
]

# How a backend ended, whether it has lost all its connections, and what a client hears of it that
# is not moved, where `failover.loss-code` is 1012.
OF_LOSS = [
    (Close(1006, "lost", abnormal=True), False, 1012),
    (Close(1006, "lost", abnormal=True), True, 1012),
    (Close(1001, "restart", abnormal=True), False, 1001),
    (Close(1001, "restart", abnormal=True), True, 1012),
    (Close(1011, "fault", abnormal=True), False, 1011),
    (Close(1006, "opcode", abnormal=True, breach=True), False, 1006),
    (Close(1006, "opcode", abnormal=True, breach=True), True, 1012),
    (Close(1000, "done"), False, 1000),
    (Close(1000, "done"), True, 1000),
    (Close(4001, "own"), True, 4001),
]

# What a search has come to, and what the client hears.
WITHOUT_BACKEND = [
    (BackendDeclined(403), Close(1008, "declined by the backend with status 403")),
    (BackendDeclined(429), Close(1008, "declined by the backend with status 429")),
    (NoBackend("blue: refused"), Close(1013, "no backend available")),
    (NoBackend("blue: silent", timed_out=True), Close(1013, "no backend available")),
    (ValueError("ours"), Close(1011, "internal error")),
]


@pytest.mark.parametrize(("close", "violation", "told"), TO_BACKEND)
def test_each_end_of_a_client_has_its_close_for_the_backend(
    close: Close, told: Close, *, violation: bool
) -> None:
    assert close_for_backend(close, violation=violation) == told


@pytest.mark.parametrize(("close", "all_are_lost", "code"), OF_LOSS)
def test_each_end_of_a_backend_has_its_close_for_the_client(
    close: Close, code: int, *, all_are_lost: bool
) -> None:
    told = close_after_loss(close, 1012, all_are_lost=all_are_lost)
    assert (told.code, told.reason) == (code, close.reason)


@pytest.mark.parametrize(("error", "told"), WITHOUT_BACKEND)
def test_each_failed_search_has_its_close_for_the_client(error: Exception, told: Close) -> None:
    assert close_without_backend(error) == told


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Decline(403), Close(1008, "declined by the backend with status 403")),
        (Fault(ValueError("the plugin's")), Close(1013, "no backend available")),
    ],
)
@on_virtual_clock
async def test_a_failed_search_closes_the_client_with_that_code(
    answer: Decline | Fault, told: Close
) -> None:
    bench = await RelayBench(failover=FailoverOptions(hold=5)).open()
    bench.blue.otherwise = bench.green.otherwise = answer
    bench.drop()
    assert await bench.client.until_closed() == told


@on_virtual_clock
async def test_without_failover_a_loss_closes_the_client_with_the_configured_code() -> None:
    options = FailoverOptions(enabled=False, loss_code=4321)
    bench = await RelayBench(failover=options).open()
    bench.drop()
    assert (await bench.client.until_closed()).code == 4321
