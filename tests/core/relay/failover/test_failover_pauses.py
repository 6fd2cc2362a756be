"""The pauses between rounds of dials, and the end of the hold."""

from __future__ import annotations

import random

import pytest

from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.pool.backends.backend_pool import PooledBackend
from wsgw_core.relay.failover.failover import Failover
from wsgw_core.testing.fakes import FakeBackend

BLUE, GREEN = PooledBackend("blue", FakeBackend()), PooledBackend("green", FakeBackend())
OPTIONS = FailoverOptions(hold=100, backoff=0.1, max_backoff=1)


def test_the_first_round_comes_at_once() -> None:
    assert Failover(OPTIONS, 0.0, BLUE).pause(0.0) == 0


def test_pauses_double_up_to_the_longest() -> None:
    failover = Failover(OPTIONS, 0.0, BLUE)
    for longest in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0):
        failover.failed()
        assert longest / 2 <= failover.pause(0.0) <= longest


def test_pauses_are_jittered(monkeypatch: pytest.MonkeyPatch) -> None:
    failover = Failover(OPTIONS, 0.0, BLUE)
    failover.failed()
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)
    assert failover.pause(0.0) == 0.05
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    assert failover.pause(0.0) == 0.1


def test_a_backoff_above_the_maximum_is_cut_to_it() -> None:
    failover = Failover(FailoverOptions(backoff=5, max_backoff=1), 0.0, BLUE)
    failover.failed()
    assert failover.pause(0.0) <= 1


def test_a_backend_that_does_not_last_makes_the_next_pause_longer() -> None:
    failover = Failover(OPTIONS, 0.0, BLUE)
    failover.lost_again(GREEN, 0.0)
    assert failover.last is GREEN
    assert failover.pause(0.0) > 0


def test_no_pause_goes_beyond_the_hold() -> None:
    failover = Failover(OPTIONS, 50.0, BLUE)
    for _ in range(10):
        failover.failed()
    assert failover.pause(149.9) == pytest.approx(0.1)
    assert failover.pause(150) == 0
    assert failover.pause(151) == 0


def test_the_hold_ends_at_its_time() -> None:
    failover = Failover(OPTIONS, 50.0, BLUE)
    assert failover.deadline == 150
    assert not failover.over(149.9)
    assert failover.over(150)


def test_without_a_hold_there_is_one_round_without_a_deadline() -> None:
    failover = Failover(FailoverOptions(hold=0), 50.0, BLUE)
    assert failover.deadline is None
    assert not failover.over(50)
    failover.failed()
    assert failover.over(50)


def test_a_short_hold_is_over_before_any_round() -> None:
    failover = Failover(FailoverOptions(hold=0.5), 50.0, BLUE)
    assert not failover.over(50.4)
    assert failover.over(50.5)
