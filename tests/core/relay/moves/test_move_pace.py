"""Moves of many sessions keep to a rate."""

from __future__ import annotations

from collections import deque

import pytest

from wsgw_core.relay.moves.move_pace import MovePace


@pytest.mark.parametrize(
    ("rate", "step", "at_once"),
    [(0.5, 2.0, 1), (10, 0.1, 1), (50, 0.02, 1), (100, 0.02, 2), (1000, 0.02, 20)],
)
def test_a_step_is_as_short_as_the_rate_asks_for_but_not_below_20_ms(
    rate: float, step: float, at_once: int
) -> None:
    pace = MovePace(rate)
    assert pace.step == pytest.approx(step)
    waiting = deque(range(30))
    pace.begin_some(waiting, lambda _: True)
    assert list(waiting) == list(range(at_once, 30))


def test_only_sessions_that_begin_to_move_count() -> None:
    waiting = deque(range(6))
    MovePace(100).begin_some(waiting, lambda session: session % 2 == 1)
    assert list(waiting) == [4, 5]
