"""Which backend next."""

from __future__ import annotations

from collections import Counter

from wsgw_core.pool.backend_pool import BackendPool, PooledBackend
from wsgw_core.testing.fakes import FakeBackend

A, B, C = "a", "b", "c"


def pool_of(*names: str) -> BackendPool:
    return BackendPool(PooledBackend(name, FakeBackend(name)) for name in names)


def order(pool: BackendPool, last: str | None = None) -> list[str]:
    lost = next((backend for backend in pool.backends if backend.id == last), None)
    return [backend.id for backend in pool.candidates(last=lost)]


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
