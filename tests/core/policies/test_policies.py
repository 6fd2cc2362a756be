"""The built-in policies."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgw_core.api import Candidate, DialRequest, HandshakeField, Policy
from wsgw_core.policies import HashOptions, HashPolicy, RandomTwo

KEY = HandshakeField("path.1")
TEN = [Candidate(f"backend-{number}") for number in range(10)]


def client(path: str = "/") -> DialRequest:
    return DialRequest("s", path)


def by_key(bound: float | None = None) -> HashPolicy:
    return HashPolicy(HashOptions(key=KEY, bound=bound))


def order(policy: Policy, path: str, backends: list[Candidate]) -> list[str]:
    costs = policy.costs(client(path), backends)
    return [
        each.id for _, each in sorted(zip(costs, backends, strict=True), key=lambda one: one[0])
    ]


def loaded(*connections: int) -> list[Candidate]:
    return [Candidate(f"b{number}", 1, load) for number, load in enumerate(connections)]


class TestHash:
    def test_clients_with_one_key_get_one_backend_in_any_order(self) -> None:
        expected = order(by_key(), "/room", TEN)
        assert order(by_key(), "/room/other?query", TEN[::-1]) == expected

    def test_another_process_with_another_hash_seed_chooses_the_same(self) -> None:
        script = (
            "from wsgw_core.api import *; from wsgw_core.policies import *\n"
            "policy = HashPolicy(HashOptions(key=HandshakeField('path.1')))\n"
            "ten = [Candidate(f'backend-{number}') for number in range(10)]\n"
            "print(list(policy.costs(DialRequest('s', '/room'), ten)))"
        )
        told = {
            subprocess.run(
                [sys.executable, "-c", script],
                env={"PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for seed in ("1", "2")
        }
        assert told == {str(list(by_key().costs(client("/room"), TEN)))}

    def test_removed_backend_moves_only_its_own_keys(self) -> None:
        for number in range(1000):
            first, second, *_ = order(by_key(), f"/{number}", TEN)
            left = [each for each in TEN if each.id != "backend-3"]
            assert order(by_key(), f"/{number}", left)[0] == (
                second if first == "backend-3" else first
            )

    def test_new_backend_takes_keys_and_moves_no_others(self) -> None:
        new = Candidate("new")
        moved = 0
        for number in range(1000):
            before = order(by_key(), f"/{number}", TEN)[0]
            after = order(by_key(), f"/{number}", [*TEN, new])[0]
            assert after in (before, "new")
            moved += after == "new"
        assert 60 < moved < 125  # its share is 91

    def test_each_weight_gets_its_share_of_the_keys(self) -> None:
        backends = [Candidate("a", 1), Candidate("b", 2), Candidate("c", 5)]
        taken = Counter(order(by_key(), f"/{number}", backends)[0] for number in range(8000))
        assert {each.id: round(taken[each.id] / 1000) for each in backends} == {
            "a": 1,
            "b": 2,
            "c": 5,
        }

    def test_greater_weight_takes_keys_from_others_and_gives_none_away(self) -> None:
        heavier = [Candidate("backend-0", 3), *TEN[1:]]
        for number in range(500):
            before = order(by_key(), f"/{number}", TEN)[0]
            assert order(by_key(), f"/{number}", heavier)[0] in (before, "backend-0")

    @pytest.mark.parametrize("path", ["/", "/?room=1", "/%ff"])
    def test_client_without_a_key_gets_the_backend_with_the_fewest_connections(
        self, path: str
    ) -> None:
        assert order(by_key(), path, loaded(3, 1, 2)) == ["b1", "b2", "b0"]

    def test_without_a_bound_a_key_stays_however_many_connections_its_backend_has(self) -> None:
        first = order(by_key(), "/room", loaded(0, 0, 0))[0]
        busy = [Candidate(each.id, 1, 1000 * (each.id == first)) for each in loaded(0, 0, 0)]
        assert order(by_key(), "/room", busy)[0] == first

    def test_with_a_bound_the_next_backend_of_the_key_follows_one_that_is_full(self) -> None:
        first, second, third = order(by_key(), "/room", loaded(0, 0, 0))
        busy = [Candidate(each.id, 1, 5 * (each.id == first)) for each in loaded(0, 0, 0)]
        assert order(by_key(1.25), "/room", busy) == [second, third, first]
        even = [Candidate(each.id, 1, 5) for each in busy]
        assert order(by_key(1.25), "/room", even) == [first, second, third]

    @given(
        st.lists(st.integers(1, 5), min_size=1, max_size=6),
        st.lists(st.integers(0, 3), max_size=80),
        st.sampled_from([1.0, 1.25, 2.0]),
    )
    def test_no_backend_gets_more_than_the_bound_allows(
        self, weights: list[int], rooms: list[int], bound: float
    ) -> None:
        connections = [0] * len(weights)
        for total, room in enumerate(rooms, 1):
            backends = [
                Candidate(str(number), weight, connections[number])
                for number, weight in enumerate(weights)
            ]
            chosen = int(order(by_key(bound), f"/{room}", backends)[0])
            connections[chosen] += 1
            share = bound * total * weights[chosen] / sum(weights)
            assert connections[chosen] < share + 1


class TestRandomTwo:
    def test_backend_with_fewer_connections_of_two_comes_first(self) -> None:
        policy = RandomTwo(random.Random(3))  # noqa: S311 - no secret
        firsts = Counter(order(policy, "/", loaded(5, 1, 3))[0] for _ in range(300))
        assert set(firsts) == {"b1", "b2"}  # the worst of all is the better one of no two
        assert 150 < firsts["b1"] < 250

    def test_weights_divide_the_connections(self) -> None:
        two = [Candidate("a", 1, 2), Candidate("b", 4, 4)]
        assert order(RandomTwo(), "/", two) == ["b", "a"]

    def test_single_backend_is_chosen(self) -> None:
        assert order(RandomTwo(), "/", loaded(9)) == ["b0"]
