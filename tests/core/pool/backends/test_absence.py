"""While a backend is away, one scout at a time dials it."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import Close
from wsgw_core.pool.backends.absence import Absence
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.session_context import pooled
from wsgw_core.testing.virtual_clock import on_virtual_clock

EVERY = 2.0  # seconds from one scout to the next


def away(since: float | None = None) -> Absence:
    absence = Absence()
    if since is None:
        absence.begin()
    else:
        absence.begin(since)
    return absence


def test_a_backend_that_is_there_is_dialled_by_all() -> None:
    absence = Absence()
    assert absence.allows(0, EVERY)
    assert absence.allows(0, EVERY)
    assert not absence.is_away


def test_after_a_loss_a_scout_may_dial_at_once() -> None:
    assert away().allows(0, EVERY)


def test_after_a_failed_dial_the_scout_waits_for_the_time_between_two_scouts() -> None:
    absence = away(since=10)
    assert not absence.allows(10 + EVERY - 0.001, EVERY)
    assert absence.allows(10 + EVERY, EVERY)


def test_a_later_failure_does_not_delay_the_scout() -> None:
    absence = away(since=10)
    absence.begin(11)
    assert absence.allows(10 + EVERY, EVERY)


@pytest.mark.parametrize("fails", [True, False])
@on_virtual_clock
async def test_while_a_scout_dials_and_just_after_no_other_one_does(*, fails: bool) -> None:
    absence = away()

    async def scout() -> None:
        with absence.dial(as_scout=True) as is_scout:
            assert is_scout
            await asyncio.sleep(10)
            if fails:
                raise OSError

    dial = asyncio.create_task(scout())
    await asyncio.sleep(5)
    assert not absence.allows(5, EVERY)
    with absence.dial(as_scout=True) as is_scout:
        assert not is_scout
    await asyncio.gather(dial, return_exceptions=True)
    assert not absence.allows(10 + EVERY - 0.001, EVERY)
    assert absence.allows(10 + EVERY, EVERY)


def test_a_dial_that_may_not_be_the_scout_leaves_its_place_free() -> None:
    absence = away()
    with absence.dial(as_scout=False) as is_scout:
        assert not is_scout
        assert absence.allows(0, EVERY)


def test_only_the_first_answer_ends_the_absence() -> None:
    absence = away()
    assert absence.end()
    assert not absence.is_away
    assert not absence.end()
    with absence.dial(as_scout=True) as is_scout:
        assert not is_scout


@pytest.mark.parametrize(
    ("close", "is_away"),
    [
        (Close(1006, "connection lost", abnormal=True), True),
        (Close(1006, "a reserved bit", abnormal=True, breach=True), False),
        (Close(1012, "restart", abnormal=True), False),
    ],
)
@on_virtual_clock
async def test_only_a_connection_that_breaks_off_makes_its_backend_doubtful(
    close: Close, *, is_away: bool
) -> None:
    backend = pooled("blue", FakeBackend("blue"))
    backend.session_lost(close)
    assert backend.absence.is_away is is_away
