"""When a breaker trips, and when it allows a dial again."""

from __future__ import annotations

import pytest

from wsgw_core.pool.backends.breaker import Breaker


def tripped(threshold: int = 3, now: float = 100.0) -> Breaker:
    breaker = Breaker(threshold)
    assert [breaker.failed(now) for _ in range(threshold)] == [False] * (threshold - 1) + [True]
    return breaker


def next_trial(breaker: Breaker, now: float) -> float:
    """Returns the first time, in steps of 10 ms, at which a dial is allowed."""
    for step in range(1000):
        if breaker.allows(now + step / 100):
            return now + step / 100
    raise AssertionError("never")


def fail_a_trial(breaker: Breaker, now: float) -> None:
    assert breaker.allows(now)
    assert breaker.begin()
    assert not breaker.failed(now)
    breaker.end_trial()


def test_failures_in_a_row_trip_it() -> None:
    breaker = tripped(3)
    assert breaker.tripped
    assert breaker.trips == 1
    assert not breaker.allows(100)


def test_a_proved_connection_restarts_the_count_of_failures() -> None:
    breaker = Breaker(3)
    for _ in range(5):
        assert not breaker.failed(0)
        assert not breaker.failed(0)
        assert not breaker.connected()
        breaker.proved()
    assert not breaker.tripped
    assert breaker.allows(0)


def test_with_a_threshold_of_zero_the_first_failure_trips_it() -> None:
    breaker = Breaker(0)
    assert breaker.failed(100)
    assert breaker.connected()
    breaker.proved()
    assert breaker.failed(200)


@pytest.mark.parametrize("threshold", [-1, -10])
def test_a_negative_threshold_never_trips(threshold: int) -> None:
    breaker = Breaker(threshold)
    assert not any(breaker.failed(0) for _ in range(1000))
    breaker.connected()
    assert breaker.allows(0)
    assert not breaker.tripped


def test_the_first_trial_comes_after_about_half_a_second() -> None:
    pauses = [next_trial(tripped(), 100) - 100 for _ in range(200)]
    assert min(pauses) >= 0.37
    assert max(pauses) <= 0.64
    assert max(pauses) - min(pauses) > 0.1  # jitter


def test_pauses_between_trials_grow_up_to_a_limit() -> None:
    breaker = tripped(1)
    now, pauses = 100.0, []
    for _ in range(6):
        due = next_trial(breaker, now)
        pauses.append(due - now)
        now = due
        fail_a_trial(breaker, now)
    assert pauses[0] < pauses[1] < pauses[2]
    assert all(1.4 < pause < 2.6 for pause in pauses[2:])
    assert breaker.trips == 1


def test_only_one_trial_is_allowed_at_a_time() -> None:
    breaker = tripped()
    assert breaker.begin()
    assert not breaker.allows(200)
    breaker.end_trial()
    assert breaker.allows(200)


def test_dials_that_had_begun_before_it_tripped_do_not_lengthen_the_pause() -> None:
    breaker = tripped()
    for _ in range(1000):
        breaker.failed(100.1)
    assert next_trial(breaker, 100) <= 100.64


def test_a_connection_closes_the_breaker_on_probation() -> None:
    breaker = tripped(3)
    assert breaker.connected()
    assert breaker.allows(101)
    assert not breaker.connected()
    assert breaker.failed(101)  # one is enough
    assert breaker.trips == 2
    assert next_trial(breaker, 101) - 101 > 0.7  # the pause has grown


def test_a_proof_ends_the_probation() -> None:
    breaker = tripped(3)
    breaker.connected()
    breaker.proved()
    assert not breaker.failed(101)
    assert not breaker.failed(101)
    assert breaker.failed(101)
    assert next_trial(breaker, 101) - 101 <= 0.64


def test_the_proof_of_an_older_connection_does_not_close_it() -> None:
    breaker = tripped(3)
    breaker.proved()
    assert breaker.tripped


def test_probation_lasts_from_a_connection_until_its_proof() -> None:
    breaker = tripped(3)
    seen = [breaker.on_probation]
    for step in (
        breaker.connected,
        breaker.connected,
        lambda: breaker.failed(101),
        breaker.connected,
        breaker.proved,
    ):
        step()
        seen.append(breaker.on_probation)
    assert seen == [False, True, True, False, True, False]


def test_one_of_many_waiting_sessions_may_dial_every_half_second() -> None:
    breaker = tripped(3)
    tried = [step for step in range(200) if breaker.allows_retry(101 + step / 100)]
    assert len(tried) == 4


def test_reset_forgets_everything() -> None:
    breaker = tripped(3)
    breaker.reset()
    assert not breaker.tripped
    assert breaker.allows(100)
    assert not breaker.failed(100)
    assert not breaker.failed(100)
    assert breaker.failed(100)
