"""The order of the backends in a group."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgw_core.api import Policy
from wsgw_core.policies import LeastConnections
from wsgw_core.pool.backends.backend_pool import BackendPool, PooledBackend
from wsgw_core.pool.policy.backend_group import BackendGroup
from wsgw_core.testing.fakes import FakeBackend

A, B, C = "a", "b", "c"


def pool_of(*names: str) -> BackendPool:
    return BackendPool(PooledBackend(name, FakeBackend(name)) for name in names)


def order(pool: BackendPool, last: str | None = None, policy: Policy | None = None) -> list[str]:
    """Returns the backends in the order in which one client tries them; the first has its turn."""
    lost = pool.find(last) if last else None
    return order_of(BackendGroup(pool, policy=policy), last=lost)


def first(pool: BackendPool, last: str | None = None, policy: Policy | None = None) -> str:
    """Returns the backend that one client tries."""
    lost = pool.find(last) if last else None
    turn = BackendGroup(pool, policy=policy).choose(0, last=lost)
    assert turn is not None
    return turn.backend.id


def order_of(group: BackendGroup, now: float = 0, last: PooledBackend | None = None) -> list[str]:
    tried: list[PooledBackend] = []
    while (turn := group.choose(now, last=last, without=tried)) is not None:
        if tried:
            turn.give_back()
        tried.append(turn.backend)
    return [each.id for each in tried]


def test_each_backend_is_offered_once_in_turn() -> None:
    pool = pool_of(A, B, C)
    assert [order(pool) for _ in range(4)] == [[A, B, C], [B, C, A], [C, A, B], [A, B, C]]


def test_turns_are_fair() -> None:
    pool = pool_of(A, B, C)
    assert Counter(first(pool) for _ in range(300)) == {A: 100, B: 100, C: 100}


def test_the_backend_that_failed_comes_last() -> None:
    pool = pool_of(A, B, C)
    assert [order(pool, last=A) for _ in range(3)] == [[B, C, A], [C, B, A], [B, C, A]]


def test_a_session_that_waits_tries_an_absent_backend_first_every_two_seconds_only() -> None:
    pool = pool_of(A, B)
    group = BackendGroup(pool)
    pool.backends[1].priority = pool.backends[0].priority + 1  # A comes first unless it is away
    pool.backends[0].absence.begin(10)

    def tried(now: float) -> list[str]:
        tried: list[PooledBackend] = []
        while turn := group.choose(now, without=tried, looks_apart=0.5):
            tried.append(turn.backend)
        return [each.id for each in tried]

    assert tried(10.4) == [B]
    assert tried(10.5) == [B, A]
    assert tried(11.9) == [B, A]
    assert tried(12) == [A, B]
    assert order_of(group, 10) == [A, B]  # a new client, which cannot wait


def test_a_single_backend_that_failed_is_offered_again() -> None:
    assert order(pool_of(A), last=A) == [A]


def test_a_disabled_backend_is_not_offered() -> None:
    pool = pool_of(A, B, C)
    pool.backends[1].enabled = False
    assert [order(pool) for _ in range(3)] == [[A, C], [C, A], [A, C]]
    assert order(pool, last=B) == [C, A]


def test_backends_that_do_not_fit_are_not_offered() -> None:
    group = BackendGroup(pool_of(A, B, C))
    assert order_of(group.limited_to(lambda each: each.id != B)) == [A, C]
    assert sorted(order_of(group)) == [A, B, C]


def test_with_all_backends_disabled_none_is_offered() -> None:
    pool = pool_of(A, B)
    for backend in pool.backends:
        backend.enabled = False
    assert order(pool) == []


def test_the_remaining_backends_share_fairly() -> None:
    pool = pool_of(A, B, C)
    pool.backends[1].enabled = False
    firsts = Counter(first(pool) for _ in range(300))
    assert firsts == {A: 150, C: 150}


def test_the_sessions_of_a_lost_backend_spread_over_the_others() -> None:
    pool = pool_of(A, B, C)
    firsts = Counter(first(pool, last=A) for _ in range(300))
    assert firsts == {B: 150, C: 150}


class TestChanges:
    def test_an_added_backend_is_offered(self) -> None:
        pool = pool_of(A)
        pool.add(PooledBackend(B, FakeBackend(B)))
        assert Counter(first(pool) for _ in range(100)) == {A: 50, B: 50}
        assert [backend.id for backend in pool.backends] == [A, B]

    def test_a_second_backend_with_an_id_is_refused(self) -> None:
        pool = pool_of(A)
        with pytest.raises(ValueError, match="backend 'a' exists already"):
            pool.add(PooledBackend(A, FakeBackend(A)))

    def test_a_removed_backend_is_not_offered(self) -> None:
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

    def test_an_enabled_backend_is_offered_again(self) -> None:
        pool = pool_of(A, B)
        pool.backends[0].enabled = False
        assert order(pool) == [B]
        pool.backends[0].enabled = True
        assert sorted(order(pool)) == [A, B]


class TestLeastConnections:
    def test_the_backend_with_the_fewest_connections_comes_first(self) -> None:
        pool = pool_of(A, B, C)
        for backend, connections in zip(pool.backends, (5, 3, 4), strict=True):
            backend.active = connections
        assert order(pool, policy=LeastConnections()) == [B, C, A]
        pool.backends[1].dialling = 3
        assert order(pool, policy=LeastConnections()) == [C, A, B]

    def test_equal_backends_take_turns(self) -> None:
        pool = pool_of(A, B, C)
        pool.backends[0].active = 1
        firsts = Counter(first(pool, policy=LeastConnections()) for _ in range(100))
        assert firsts == {B: 50, C: 50}

    def test_failed_and_unhealthy_backends_come_after_busier_ones(self) -> None:
        pool = pool_of(A, B, C)
        pool.backends[2].active = 100
        pool.backends[1].healthy = False
        assert order(pool, last=A, policy=LeastConnections()) == [C, A, B]

    def test_sessions_from_before_a_reload_count_for_their_address(self) -> None:
        pool = BackendPool()
        for name in (A, B):
            pool.add(PooledBackend(name, FakeBackend(name), address=f"ws://{name}:1"))
        before, busy = pool.backends
        before.active, busy.active = 3, 2
        pool.remove(before)
        renamed = PooledBackend(C, FakeBackend(C), address=before.address)
        pool.add(renamed)
        assert order(pool, policy=LeastConnections()) == [B, C]
        busy.active = 4
        assert order(pool, policy=LeastConnections()) == [C, B]
        before.dialling = 2
        assert order(pool, policy=LeastConnections()) == [B, C]
        pool.forget(before)
        assert order(pool, policy=LeastConnections()) == [C, B]

    def test_sessions_of_an_earlier_server_of_the_id_do_not_count(self) -> None:
        pool = pool_of(B)
        before = PooledBackend(A, FakeBackend(A), address="ws://old:1")
        pool.add(before)
        before.active, pool.backends[0].active = 9, 1
        pool.remove(before)
        pool.add(PooledBackend(A, FakeBackend(A), address="ws://new:1"))
        assert order(pool, policy=LeastConnections()) == [A, B]

    def test_sessions_kept_for_a_removed_group_count_once(self) -> None:
        pool = pool_of(A, B)
        one, two = pool.backends
        one.active, two.active = 1, 2
        for backend in (one, two):
            pool.remove(backend, staying=True)
        assert pool.loads([one, two]) == {one: 1, two: 2}
        assert order(pool, policy=LeastConnections()) == [A, B]

    @given(st.lists(st.integers(0, 20), min_size=1, max_size=5), st.integers(0, 100))
    def test_unequal_loads_become_even(self, begin: list[int], new: int) -> None:
        pool = pool_of(*map(str, range(len(begin))))
        for backend, connections in zip(pool.backends, begin, strict=True):
            backend.active = connections
        for _ in range(new):
            chosen = pool.find(first(pool, policy=LeastConnections()))
            assert chosen is not None
            chosen.active += 1
        took = [
            backend.active
            for backend, had in zip(pool.backends, begin, strict=True)
            if backend.active > had
        ]
        assert not took or max(took) - min(backend.active for backend in pool.backends) <= 1


class TestWeight:
    def pool(self, **weights: int) -> BackendPool:
        return BackendPool(
            PooledBackend(name, FakeBackend(name), weight=weight)
            for name, weight in weights.items()
        )

    def test_turns_of_a_great_weight_do_not_come_all_at_once(self) -> None:
        pool = self.pool(a=5, b=1, c=1)
        firsts = [first(pool) for _ in range(14)]
        assert firsts == [A, A, B, A, C, A, A] * 2

    @given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    def test_each_backend_gets_its_share_in_every_round(self, weights: list[int]) -> None:
        pool = self.pool(**{str(number): weight for number, weight in enumerate(weights)})
        total, taken = sum(weights), Counter[str]()
        for turn in range(1, 3 * total + 1):
            taken[first(pool)] += 1
            for backend in pool.backends:
                assert abs(taken[backend.id] - turn * backend.weight / total) < len(weights)
            if turn % total == 0:
                assert taken == {each.id: each.weight * turn // total for each in pool.backends}

    @given(
        st.lists(st.integers(1, 9), min_size=2, max_size=6),
        st.lists(st.sets(st.integers(0, 5)), max_size=60),
    )
    def test_shares_follow_the_weights_after_a_backend_was_disabled(
        self, weights: list[int], absences: list[set[int]]
    ) -> None:
        pool = self.pool(**{str(number): weight for number, weight in enumerate(weights)})
        for absent in absences:
            for number, backend in enumerate(pool.backends):
                backend.enabled = number not in absent
            order(pool)
        for backend in pool.backends:
            backend.enabled = True
        rounds = 10
        taken = Counter(first(pool) for _ in range(rounds * sum(weights)))
        for backend in pool.backends:
            assert abs(taken[backend.id] - rounds * backend.weight) <= 2 * sum(weights)

    def test_loads_are_divided_by_weights(self) -> None:
        pool = self.pool(a=1, b=3)
        for backend, connections in zip(pool.backends, (2, 5), strict=True):
            backend.active = connections
        assert order(pool, policy=LeastConnections()) == [B, A]
        pool.backends[1].active = 7
        assert order(pool, policy=LeastConnections()) == [A, B]

    @given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 30))
    def test_connections_become_proportional_to_the_weights(
        self, weights: list[int], rounds: int
    ) -> None:
        pool = self.pool(**{str(number): weight for number, weight in enumerate(weights)})
        for _ in range(rounds * sum(weights)):
            chosen = pool.find(first(pool, policy=LeastConnections()))
            assert chosen is not None
            chosen.active += 1
        assert [each.active for each in pool.backends] == [rounds * each for each in weights]

    def test_a_higher_priority_number_waits_whatever_its_weight(self) -> None:
        pool = self.pool(a=1, b=100)
        pool.backends[1].priority = 2
        assert [order(pool) for _ in range(3)] == [[A, B]] * 3


class TestPriority:
    def pool(self, *priorities: int) -> BackendPool:
        pool = pool_of(*map(str, range(len(priorities))))
        for backend, priority in zip(pool.backends, priorities, strict=True):
            backend.priority = priority
        return pool

    def test_lower_priority_numbers_come_first_and_equal_ones_take_turns(self) -> None:
        pool = self.pool(2, 1, 3, 1)
        assert [order(pool) for _ in range(3)] == [
            ["1", "3", "0", "2"],
            ["3", "1", "0", "2"],
            ["1", "3", "0", "2"],
        ]

    def test_priority_comes_before_the_policy(self) -> None:
        pool = self.pool(1, 2)
        pool.backends[0].active = 100
        assert order(pool, policy=LeastConnections()) == ["0", "1"]

    def test_unavailable_backends_are_replaced_by_the_next_priority(self) -> None:
        pool = self.pool(1, 2, 1)
        pool.backends[0].enabled = False
        pool.backends[2].healthy = False
        assert order(pool) == ["1", "2"]
        assert order(pool, last="1") == ["1", "2"]

    def test_a_failed_single_backend_is_left_for_the_next_priority(self) -> None:
        assert order(self.pool(1, 2, 3), last="0") == ["1", "2", "0"]


class TestGroups:
    def test_backends_of_other_groups_are_not_offered(self) -> None:
        pool = pool_of(A)
        pool.add(PooledBackend(B, FakeBackend(B), group="own"))
        pool.add(PooledBackend(C, FakeBackend(C), group="own"))

        assert order(pool) == [A]
        group = BackendGroup(pool, "own")
        assert [order_of(group) for _ in range(2)] == [[B, C], [C, B]]
        assert BackendGroup(pool, "gone").choose(0) is None

    def test_a_group_is_usable_if_one_of_its_backends_is(self) -> None:
        pool = pool_of(A)
        pool.add(PooledBackend(B, FakeBackend(B), group="own"))
        pool.backends[0].enabled = False
        assert (pool.is_usable(""), pool.is_usable("own"), pool.is_usable("x")) == (
            False,
            True,
            False,
        )


class TestBreaker:
    def test_a_tripped_backend_is_skipped_until_a_trial_is_due(self) -> None:
        pool = pool_of(A, B)
        for _ in range(10):
            pool.backends[0].failed(0, "down")
        group = BackendGroup(pool)
        assert {order_of(group, 0.1)[0] for _ in range(4)} == {B}
        assert {order_of(group, 1)[0] for _ in range(4)} == {A, B}
        assert not pool.backends[0].usable
        assert pool.backends[0].failures == 10

    def test_a_backend_on_trial_comes_last_until_it_has_proved_itself(self) -> None:
        pool = pool_of(A, B)
        flapping = pool.backends[0]
        for _ in range(10):
            flapping.failed(0, "down")
        flapping.connected(1)
        flapping.active = 1
        assert {first(pool) for _ in range(4)} == {B}
        flapping.proves()
        assert {first(pool) for _ in range(4)} == {A, B}

    def test_when_the_client_on_trial_leaves_another_one_tries(self) -> None:
        pool = pool_of(A, B)
        for _ in range(10):
            pool.backends[0].failed(0, "down")
        pool.backends[0].connected(1)
        assert {first(pool) for _ in range(4)} == {A, B}

    def test_a_single_backend_on_trial_is_offered(self) -> None:
        pool = pool_of(A)
        for _ in range(10):
            pool.backends[0].failed(0, "down")
        pool.backends[0].connected(1)
        pool.backends[0].active = 1
        assert order(pool) == [A]

    def test_tripping_and_closing_are_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        backend = PooledBackend(A, FakeBackend(A), 2)
        for _ in range(3):
            backend.failed(0, "no route")
        for _ in range(20):  # clients could have it come and go
            backend.connected(0)
            backend.failed(0, "lost")
        backend.connected(0)
        backend.proves()
        backend.proves()
        assert [record.getMessage() for record in caplog.records] == [
            "backend a: breaker tripped: no route",
            "backend a: breaker closed: it serves a session again",
        ]


class TestHealth:
    def test_an_unhealthy_backend_is_offered_last(self) -> None:
        pool = pool_of(A, B, C)
        pool.backends[0].healthy = False
        assert [order(pool) for _ in range(3)] == [[B, C, A], [C, B, A], [B, C, A]]
        assert order(pool, last=B) == [C, B, A]

    def test_if_no_backend_is_healthy_all_are_offered(self) -> None:
        pool = pool_of(A, B)
        for backend in pool.backends:
            backend.healthy = False
        assert [order(pool) for _ in range(2)] == [[A, B], [B, A]]
