"""After a move that failed, a session waits until it may try again."""

from __future__ import annotations

import pytest

from wsgw_core.relay.moves.move_retries import NEVER_FAILED, MoveRetries

NOW = 1000.0


def failed(times: int) -> MoveRetries:
    retries = NEVER_FAILED
    for _ in range(times):
        retries = retries.failed(NOW)
    return retries


def test_a_session_that_has_not_failed_may_move_at_once() -> None:
    assert NEVER_FAILED.may_try(NOW)
    assert NEVER_FAILED.may_hurry(NOW)


@pytest.mark.parametrize(
    ("times", "pause"), [(1, 2), (2, 4), (5, 32), (6, 60), (7, 60), (10, 60), (5000, 60)]
)
def test_the_pause_doubles_with_each_failure_up_to_a_minute(times: int, pause: float) -> None:
    retries = failed(times)
    assert not retries.may_try(NOW + pause - 0.001)
    assert retries.may_try(NOW + pause)


@pytest.mark.parametrize("times", [1, 7])
def test_a_move_that_is_wanted_now_waits_for_one_second(times: int) -> None:
    retries = failed(times)
    assert not retries.may_hurry(NOW + 0.999)
    assert retries.may_hurry(NOW + 1)
