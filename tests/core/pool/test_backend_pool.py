"""Which backend next."""

from __future__ import annotations

import logging
from collections import Counter

import pytest

from wsgw_core.pool.backend_pool import BackendPool, PooledBackend
from wsgw_core.testing.fakes import FakeBackend

A, B, C = "a", "b", "c"


def pool_of(*names: str) -> BackendPool:
    return BackendPool(PooledBackend(name, FakeBackend(name)) for name in names)


def order(pool: BackendPool, last: str | None = None) -> list[str]:
    lost = next((backend for backend in pool.backends if backend.id == last), None)
    return [backend.id for backend in pool.candidates(0, last=lost)]


def test_each_is_offered_once_beginning_with_the_next_in_turn() -> None:
    pool = pool_of(A, B, C)
    assert [order(pool) for _ in range(4)] == [[A, B, C], [B, C, A], [C, A, B], [A, B, C]]


def test_turns_are_fair() -> None:
    pool = pool_of(A, B, C)
    assert Counter(order(pool)[0] for _ in range(300)) == {A: 100, B: 100, C: 100}


def test_the_one_that_failed_comes_last() -> None:
    pool = pool_of(A, B, C)
    assert [order(pool, last=A) for _ in range(3)] == [[B, C, A], [C, B, A], [B, C, A]]


def test_alone_it_is_offered_again() -> None:
    assert order(pool_of(A), last=A) == [A]


def test_a_disabled_one_is_not_offered() -> None:
    pool = pool_of(A, B, C)
    pool.backends[1].enabled = False
    assert [order(pool) for _ in range(3)] == [[A, C], [C, A], [A, C]]
    assert order(pool, last=B) == [C, A]


def test_all_may_be_disabled() -> None:
    pool = pool_of(A, B)
    for backend in pool.backends:
        backend.enabled = False
    assert order(pool) == []


def test_those_that_remain_share_fairly() -> None:
    pool = pool_of(A, B, C)
    pool.backends[1].enabled = False
    firsts = Counter(order(pool)[0] for _ in range(300))
    assert firsts == {A: 150, C: 150}


def test_the_sessions_of_a_lost_backend_spread_over_the_others() -> None:
    pool = pool_of(A, B, C)
    firsts = Counter(order(pool, last=A)[0] for _ in range(300))
    assert firsts == {B: 150, C: 150}


class TestChanges:
    def test_an_added_one_is_offered(self) -> None:
        pool = pool_of(A)
        pool.add(PooledBackend(B, FakeBackend(B)))
        assert Counter(order(pool)[0] for _ in range(100)) == {A: 50, B: 50}
        assert [backend.id for backend in pool.backends] == [A, B]

    def test_an_id_is_taken_once(self) -> None:
        pool = pool_of(A)
        with pytest.raises(ValueError, match="backend 'a' exists already"):
            pool.add(PooledBackend(A, FakeBackend(A)))

    def test_a_removed_one_is_offered_no_more(self) -> None:
        pool = pool_of(A, B, C)
        lost = pool.find(B)
        assert lost is not None
        pool.remove(lost)
        assert lost.removed
        assert pool.find(B) is None
        assert [order(pool) for _ in range(3)] == [[A, C], [C, A], [A, C]]

    def test_all_can_be_removed_and_others_added(self) -> None:
        pool = pool_of(A)
        pool.remove(pool.backends[0])
        assert order(pool) == []
        pool.add(PooledBackend(A, FakeBackend(A)))
        assert order(pool) == [A]

    def test_a_disabled_one_can_be_enabled(self) -> None:
        pool = pool_of(A, B)
        pool.backends[0].enabled = False
        assert order(pool) == [B]
        pool.backends[0].enabled = True
        assert sorted(order(pool)) == [A, B]


class TestBreaker:
    def test_a_tripped_one_is_skipped_until_a_trial_is_due(self) -> None:
        pool = pool_of(A, B)
        for _ in range(10):
            pool.backends[0].failed(0, "down")
        assert [backend.id for backend in pool.candidates(0.1)] == [B]
        assert sorted(backend.id for backend in pool.candidates(1)) == [A, B]
        assert not pool.backends[0].usable
        assert pool.backends[0].failures == 10

    def test_tripping_and_closing_are_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        backend = PooledBackend(A, FakeBackend(A), 2)
        backend.failed(0, "no route")
        backend.failed(0, "no route")
        backend.failed(0, "no route")
        backend.connected()
        backend.connected()
        assert [record.getMessage() for record in caplog.records] == [
            "backend a: breaker tripped: no route",
            "backend a: breaker closed, a trial has connected",
        ]


class TestHealth:
    def test_an_unhealthy_one_is_offered_behind_all_others(self) -> None:
        pool = pool_of(A, B, C)
        pool.backends[0].healthy = False
        assert [order(pool) for _ in range(3)] == [[B, C, A], [C, B, A], [B, C, A]]
        assert order(pool, last=B) == [C, B, A]

    def test_when_none_is_healthy_all_are_offered(self) -> None:
        pool = pool_of(A, B)
        for backend in pool.backends:
            backend.healthy = False
        assert [order(pool) for _ in range(2)] == [[A, B], [B, A]]
