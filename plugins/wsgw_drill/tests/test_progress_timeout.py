"""How long the drill waits."""

from __future__ import annotations

import pytest
from wsgw_drill import progress_timeout as module
from wsgw_drill.progress_timeout import ProgressTimeout


class Clock:
    """Stands for the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(module, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_without_progress_to_look_at_it_is_over_in_time(clock: Clock) -> None:
    timeout = ProgressTimeout(60)
    clock.now = 59
    assert not timeout.is_over()
    clock.now = 61
    assert timeout.is_over()


def test_progress_makes_it_longer_and_a_standstill_ends_it(clock: Clock) -> None:
    size = 0
    timeout = ProgressTimeout(60, lambda: size)
    for clock.now in (50, 100, 150):
        size += 1
        assert not timeout.is_over()
    clock.now = 200
    assert not timeout.is_over()
    clock.now = 211
    assert timeout.is_over()


def test_it_is_over_at_last_whatever_goes_on(clock: Clock) -> None:
    size = 0
    timeout = ProgressTimeout(60, lambda: size)
    while not timeout.is_over() and clock.now < 1000:
        size += 1
        clock.now += 10
    assert 600 < timeout.waited <= 670
