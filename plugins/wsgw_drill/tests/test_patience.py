"""How long the drill waits."""

from __future__ import annotations

import pytest
from wsgw_drill import patience as module
from wsgw_drill.patience import Patience


class Clock:
    """Stands for the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(module, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_without_progress_to_look_at_it_is_over_in_time(clock: Clock) -> None:
    patience = Patience(60)
    clock.now = 59
    assert not patience.is_over()
    clock.now = 61
    assert patience.is_over()


def test_progress_makes_it_longer_and_a_standstill_ends_it(clock: Clock) -> None:
    size = 0
    patience = Patience(60, lambda: size)
    for clock.now in (50, 100, 150):
        size += 1
        assert not patience.is_over()
    clock.now = 200
    assert not patience.is_over()
    clock.now = 211
    assert patience.is_over()


def test_it_is_over_at_last_whatever_goes_on(clock: Clock) -> None:
    size = 0
    patience = Patience(60, lambda: size)
    while not patience.is_over() and clock.now < 1000:
        size += 1
        clock.now += 10
    assert 600 < patience.waited <= 670
