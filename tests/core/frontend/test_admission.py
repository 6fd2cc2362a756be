"""How many clients are admitted; each place is given back once."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from wsgw_core.api import Metrics, Refusal
from wsgw_core.file_limit import REFUSED_AT_ONCE
from wsgw_core.frontend.admission import Admission, SharedRate, Ticket
from wsgw_core.frontend.trusted_proxies import TrustedProxies
from wsgw_core.metrics.counters import GatewayCounters

A, B, C, D, E = (f"192.0.2.{number}" for number in range(1, 6))
PROXY = "10.0.0.1"


class SettableClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now


class Bench:
    """An admission with a proxy, and its counters."""

    def __init__(self, **limits: Any) -> None:
        self.clock = SettableClock()
        self.counters = GatewayCounters(Metrics())
        self.admission = Admission(
            TrustedProxies([ip_network("10.0.0.0/8")]),
            self.counters,
            self.clock,  # type: ignore[arg-type]  # its timers are not used
            **limits,
        )

    def arrive(self, *hosts: str) -> list[Ticket]:
        return [self.admission.arrive(host) for host in hosts]

    def admitted(self, *hosts: str) -> list[bool]:
        return [ticket.refusal is None for ticket in self.arrive(*hosts)]

    @property
    def refused(self) -> tuple[int, int, int]:
        """The counters: for the sessions in all, those of an address, the rate."""
        return (
            self.counters.refused_max_sessions.value,
            self.counters.refused_max_sessions_per_address.value,
            self.counters.refused_max_handshakes_per_second.value,
        )


def answer(refusal: Refusal | None) -> tuple[int, int]:
    """Returns a refusal's status and the seconds after which to come again."""
    assert refusal is not None
    assert refusal.body.endswith(b"\n")
    ((name, seconds),) = refusal.headers
    assert name == "Retry-After"
    return refusal.status, int(seconds)


def test_without_limits_all_clients_are_admitted() -> None:
    bench = Bench()
    assert all(bench.admitted(*[A] * 5000))
    assert bench.admission.room > 10**9
    assert bench.refused == (0, 0, 0)


class TestMemory:
    def test_without_memory_clients_are_refused(self) -> None:
        full = False
        bench = Bench(memory_is_full=lambda: full)
        assert bench.admitted(A) == [True]
        full = True
        (ticket,) = bench.arrive(A)
        status, seconds = answer(ticket.refusal)
        assert status == 503
        assert 5 <= seconds <= 15
        assert bench.counters.refused_memory.value == 1
        full = False
        assert bench.admitted(A) == [True]

    def test_memory_of_handshakes_is_counted_until_they_end(self) -> None:
        bench = Bench()
        one, two = bench.arrive(A, B)
        one.take_memory(1000)
        one.take_memory(3000)
        two.take_memory(500)
        assert bench.admission.opening_bytes == 3500
        one.take_memory(0)
        two.give_back()
        assert bench.admission.opening_bytes == 0


class TestInAll:
    def test_as_many_as_allowed_and_not_one_more(self) -> None:
        bench = Bench(max_sessions=3)
        assert bench.admitted(A, B, "2001:db8::1", A) == [True, True, True, False]
        assert bench.refused == (1, 0, 0)

    def test_who_is_refused_is_told_when_to_come_again(self) -> None:
        _, refused = Bench(max_sessions=1).arrive(A, B)
        status, seconds = answer(refused.refusal)
        assert status == 503
        assert 5 <= seconds <= 15

    def test_retry_after_is_spread(self) -> None:
        bench = Bench(max_sessions=1)
        bench.arrive(A)
        assert len({answer(ticket.refusal) for ticket in bench.arrive(*[B] * 200)}) > 5

    def test_a_place_that_is_given_back_is_the_next_ones(self) -> None:
        bench = Bench(max_sessions=2)
        first, _, refused = bench.arrive(A, A, A)
        refused.give_back()
        assert bench.admitted(B) == [False]
        first.give_back()
        assert bench.admitted(B, B) == [True, False]

    def test_retry_after_is_sooner_when_only_the_rate_is_reached(self) -> None:
        _, *refused = Bench(max_per_second=1).arrive(*[A] * 400)
        assert {answer(ticket.refusal) for ticket in refused} == {(503, n) for n in range(1, 6)}

    def test_room_includes_that_for_refused_clients(self) -> None:
        bench = Bench(max_sessions=2)
        assert bench.admission.room == 2 + REFUSED_AT_ONCE
        tickets = bench.arrive(*[A] * (2 + REFUSED_AT_ONCE))
        assert bench.admission.room == 0
        tickets[-1].give_back()
        assert bench.admission.room == 1
        tickets[0].give_back()
        assert bench.admission.room == 2
        assert bench.admitted(A, A) == [True, False]

    def test_after_all_clients_have_left_the_counts_are_zero(self) -> None:
        bench = Bench(max_sessions=2, max_per_address=1)
        for ticket in bench.arrive(A, A, B, B, "::1"):
            ticket.give_back()
        assert bench.admission.room == 2 + REFUSED_AT_ONCE
        assert bench.admitted(A, B, B) == [True, True, False]


class TestPerAddress:
    def test_as_many_as_allowed_and_not_one_more(self) -> None:
        bench = Bench(max_per_address=2)
        assert bench.admitted(A, A, A, B, B, B) == [True, True, False] * 2
        assert bench.refused == (0, 2, 0)

    def test_a_refused_client_gets_429(self) -> None:
        _, refused = Bench(max_per_address=1).arrive(A, A)
        assert answer(refused.refusal) == (429, 10)

    def test_a_place_that_is_given_back_is_the_next_ones(self) -> None:
        bench = Bench(max_per_address=1)
        first, refused = bench.arrive(A, A)
        refused.give_back()
        assert bench.admitted(A) == [False]
        first.give_back()
        assert bench.admitted(A) == [True]

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
            ("fe80::1%eth0", "fe80::2%eth1", True),
            ("::ffff:192.0.2.1", "192.0.2.1", True),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
            ("192.0.2.1", "192.0.2.2", False),
            ("::1", "127.0.0.1", False),
            ("", "", True),  # two that were gone before they were looked at
        ],
    )
    def test_the_hosts_of_an_ipv6_network_count_as_one(
        self, one: str, other: str, *, same: bool
    ) -> None:
        assert Bench(max_per_address=1).admitted(one, other) == [True, not same]

    def test_only_some_of_many_refused_clients_are_answered(self) -> None:
        bench = Bench(max_per_address=1)
        bench.arrive(A)
        refused = bench.arrive(*[A] * 20)
        assert [ticket.dropped for ticket in refused] == [False] * 16 + [True] * 4
        refused[0].give_back()
        refused[16].give_back()
        (still_one_too_many,) = bench.arrive(A)
        assert still_one_too_many.dropped
        for ticket in refused[17:]:
            ticket.give_back()
        still_one_too_many.give_back()
        (answered,) = bench.arrive(A)
        assert not answered.dropped
        (other, other_refused) = bench.arrive(B, B)
        assert other.refusal is None
        assert not other_refused.dropped


class TestBehindTrustedProxies:
    def test_the_proxy_does_not_count_but_its_clients_do(self) -> None:
        bench = Bench(max_per_address=1)
        one, two, other = bench.arrive(PROXY, PROXY, PROXY)
        assert one.of_client(A) is None
        assert answer(two.of_client(A)) == (429, 10)
        assert other.of_client(B) is None
        assert bench.refused == (0, 1, 0)

    def test_clients_with_and_without_a_proxy_count_together(self) -> None:
        bench = Bench(max_per_address=1)
        (direct, proxied) = bench.arrive(A, PROXY)
        assert proxied.of_client(A) is not None
        direct.give_back()
        proxied.give_back()
        (again,) = bench.arrive(PROXY)
        assert again.of_client(A) is None
        assert bench.admitted(A) == [False]

    def test_a_header_of_a_direct_client_does_not_count(self) -> None:
        bench = Bench(max_per_address=1)
        (ticket,) = bench.arrive(A)
        assert ticket.of_client(A) is None
        assert bench.admitted(A) == [False]
        ticket.give_back()
        assert bench.admitted(A) == [True]

    def test_a_client_that_leaves_before_its_request_is_given_back(self) -> None:
        bench = Bench(max_sessions=1, max_per_address=1)
        (ticket,) = bench.arrive(PROXY)
        assert bench.admitted(PROXY) == [False]
        ticket.give_back()
        assert bench.admitted(PROXY) == [True]

    def test_a_client_refused_after_its_request_makes_room(self) -> None:
        bench = Bench(max_sessions=2, max_per_address=1)
        (_, late) = bench.arrive(A, PROXY)
        assert late.of_client(A) is not None
        assert bench.admitted(B, B) == [True, False]
        late.give_back()
        assert bench.admitted(B) == [False]

    def test_without_a_limit_addresses_are_not_kept(self) -> None:
        bench = Bench(max_sessions=2)
        for ticket in bench.arrive(PROXY, PROXY):
            assert ticket.of_client(A) is None
            assert ticket.network is None


class TestRate:
    def test_as_many_as_allowed_and_not_one_more(self) -> None:
        bench = Bench(max_per_second=4)
        assert bench.admitted(A, B, "::1", "2001:db8::1", C) == [True] * 4 + [False]
        bench.clock.now += 0.25
        assert bench.admitted(C, D) == [True, False]
        assert bench.refused == (0, 0, 2)

    def test_who_is_refused_is_told_when_to_come_again(self) -> None:
        _, refused = Bench(max_per_second=1).arrive(A, A)
        status, seconds = answer(refused.refusal)
        assert status == 503
        assert 1 <= seconds <= 5

    def test_clients_refused_for_another_limit_do_not_use_the_rate(self) -> None:
        bench = Bench(max_per_second=2, max_per_address=1)
        assert bench.admitted(A, A, A, B) == [True, False, False, True]
        assert bench.refused == (0, 2, 0)

    def test_a_client_that_leaves_gives_the_rate_nothing_back(self) -> None:
        bench = Bench(max_per_second=1)
        for ticket in bench.arrive(A, A):
            ticket.give_back()
        assert bench.admitted(A) == [False]

    def test_one_network_leaves_half_of_the_turns_to_others(self) -> None:
        bench = Bench(max_per_second=8)
        assert bench.admitted(*[A] * 8) == [True] * 5 + [False] * 3
        assert bench.admitted(B, C, D, E) == [True, True, True, False]

    def test_one_network_alone_gets_the_whole_average(self) -> None:
        rate, clock = shared_rate(8)
        assert turns_of_a_flood(rate, clock) == 5 + 10 * 8 - 1

    def test_flood_of_one_network_does_not_shut_out_others(self) -> None:
        """Ten others come in each second, when the flood has just taken what it could."""
        rate, clock = shared_rate(20)
        others: list[bool] = []

        def come() -> None:
            others.append(rate.take(f"198.51.100.{len(others)}"))

        turns_of_a_flood(rate, clock, come)
        assert len(others) == 100
        assert all(others)

    def test_clients_of_a_proxy_share_like_others_and_it_takes_no_turn(self) -> None:
        bench = Bench(max_per_second=4)
        tickets = bench.arrive(*[PROXY] * 8)
        flood = [ticket.of_client(A) for ticket in tickets[:6]]
        assert [refusal is None for refusal in flood] == [True] * 3 + [False] * 3
        assert answer(flood[-1])[0] == 503
        assert tickets[6].of_client(B) is None
        assert tickets[7].of_client(C) is not None
        assert bench.refused == (0, 0, 4)

    def test_only_networks_of_the_last_second_are_kept(self) -> None:
        rate, clock = shared_rate(8)
        for number in range(1000):
            clock.now += 1 / 8
            assert rate.take(str(number))
            assert len(rate._latest) <= 8  # noqa: SLF001 - its memory

    def test_a_long_pause_saves_at_most_one_second(self) -> None:
        rate, clock = shared_rate(8)
        clock.now += 3600
        assert [rate.take(str(number)) for number in range(9)] == [True] * 8 + [False]

    def test_the_average_rate_is_kept(self) -> None:
        rate, clock = shared_rate(8)
        taken = 0
        for number in range(10 * 64):  # ten seconds
            clock.now += 1 / 64
            taken += rate.take(str(number))
        assert taken == 8 + 10 * 8 - 1  # the bucket was full, and a step was lost by that


def shared_rate(rate: int) -> tuple[SharedRate, SettableClock]:
    clock = SettableClock()
    return SharedRate(rate, clock), clock  # type: ignore[arg-type]  # its timers are not used


def turns_of_a_flood(
    rate: SharedRate, clock: SettableClock, ten_times_a_second: Callable[[], None] = lambda: None
) -> int:
    """Returns how many turns a network gets that takes all it can for ten seconds."""
    taken = 0
    for step in range(10 * 640):
        clock.now += 1 / 640
        while rate.take(A):
            taken += 1
        if step % 64 == 0:
            ten_times_a_second()
    return taken
