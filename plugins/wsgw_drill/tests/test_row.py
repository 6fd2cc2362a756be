"""The results of a way, compared with its expectation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from wsgw_drill.gateway_process import DrilledGateway, Footprint
from wsgw_drill.history import Verdict
from wsgw_drill.load_client import Load
from wsgw_drill.row import Bounds, Row, percentile
from wsgw_drill.settings import Settings
from wsgw_drill.stage import Plan, Stage
from wsgw_drill.target import WEBSOCKET
from wsgw_drill.ways import WAYS, Bound, Expectation, Way

from wsgw_core.api import PlayedBackend

BOUNDS = Bounds(death=0.05, silence=5.15, by_way={"mine": 1.0})
LOAD = Load(rate=100, smallest=64, largest=64)


async def go(stage: Stage) -> None:
    """Breaks nothing."""


def way(name: str = "way", /, **expectation: Any) -> Way:
    return Way(name, "", go, Expectation(**expectation))


def stage(moved: int = 0, settings: Settings | None = None) -> Stage:
    made = Stage(DrilledGateway("ws://nowhere.invalid"), [], Plan(1, LOAD), settings or Settings())
    made.moved = moved
    return made


def judged(expected: Way, verdict: Verdict, on: Stage | None = None) -> list[str]:
    row = Row(expected)
    row.add(on or stage(), verdict, None)
    row.judge_pauses(BOUNDS)
    return row.failures


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        ([], 0.5, None),
        ([3.0], 0.5, 3.0),
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 12)], 0.99, 11.0),
    ],
)
def test_percentiles_are_nearest_ranks(
    values: list[float], share: float, found: float | None
) -> None:
    assert percentile(values, share) == found


@pytest.mark.parametrize("harm", [{"lost": 5}, {"lost": 2, "unread": 3}, {"unread_closed": 5}])
@pytest.mark.parametrize(
    ("undelivered", "excused", "may_be"),
    [(5, True, True), (9, True, True), (4, False, True), (None, False, True), (9, False, False)],
)
def test_counted_overdue_messages_become_note(
    harm: dict[str, Any], undelivered: int | None, *, excused: bool, may_be: bool
) -> None:
    on = stage()
    on.undelivered = undelivered
    row = Row(way(given_up=may_be))
    row.add(on, Verdict(sent=9, overdue=5, **harm), None)
    assert bool(row.failures) is not excused
    told = f"the gateway counted {undelivered} as undelivered"
    if undelivered is None:
        told = "the gateway's count is not available"
    expected = excused or (may_be and undelivered is None)
    assert [told in note for note in row.notes] == [True] * expected
    assert row.verdict.lost == harm.get("lost", 0)  # the table still shows it
    assert row.as_data()["undelivered"] == undelivered


def test_losses_that_are_not_overdue_are_failures() -> None:
    on = stage()
    on.undelivered = 9
    row = Row(way(given_up=True))
    row.add(on, Verdict(sent=9, lost=3, overdue=2), None)
    assert row.failures == ["3 lost"]


@pytest.mark.parametrize(
    ("harm", "expectation", "failures"),
    [
        ({"lost": 2, "unread": 1, "unanswered": 4}, {}, []),
        ({"lost": 3, "unread": 1}, {}, ["3 lost"]),
        ({"duplicated": 1}, {}, ["1 read twice, despite at-most-once"]),
        ({"reordered": 1}, {}, ["1 reordered"]),
        ({"reordered": 1}, {"returns": True}, []),
        ({"dropped": 1}, {"returns": True}, ["1 dropped"]),
    ],
)
def test_at_most_once_may_lose_counted_messages_but_repeat_none(
    harm: dict[str, Any], expectation: dict[str, Any], failures: list[str]
) -> None:
    on = stage(settings=Settings(at_most_once=True))
    on.undelivered = 3
    lenient = way(unread=False, **expectation)

    row = Row(lenient)
    row.add(on, Verdict(sent=9, **harm), None)

    assert row.failures == failures


@pytest.mark.parametrize(
    ("name", "backends", "settings", "obstacle"),
    [
        ("kill", 2, Settings(), None),
        ("kill", 1, Settings(), "needs two backends"),
        ("away", 1, Settings(), None),
        ("kill", 2, Settings(failover=False), "needs failover, which is off"),
        ("client-floods", 1, Settings(failover=False), None),
        ("kill", 2, Settings(at_most_once=True), None),
        (
            "poison",
            2,
            Settings(at_most_once=True),
            "needs replays, which at-most-once does not have",
        ),
        (
            "operator-failover",
            2,
            Settings(steered=False),
            "needs an admin API: with -c one without TLS, with --url that of --admin",
        ),
    ],
)
def test_way_names_its_obstacle(
    name: str, backends: int, settings: Settings, obstacle: str | None
) -> None:
    assert WAYS[name].obstacle(backends, settings, WEBSOCKET) == obstacle


def test_way_for_other_kinds_has_obstacle() -> None:
    played = PlayedBackend("module", "http://{address}", ways=("kill",))

    assert WAYS["kill"].obstacle(2, Settings(), played) is None
    assert WAYS["dribble"].obstacle(2, Settings(), played) == "is not for backends of this kind"


def test_count_of_one_round_does_not_excuse_another() -> None:
    row = Row(way(given_up=True))
    first = stage()
    first.undelivered = 9
    row.add(first, Verdict(sent=9), None)
    second = stage()
    second.undelivered = 0
    row.add(second, Verdict(sent=9, lost=1, overdue=1), None)
    assert row.failures == ["1 lost"]
    assert row.undelivered == 9


@pytest.mark.parametrize("name", Verdict.NEVER)
def test_forbidden_harm_is_failure_of_every_way(name: str) -> None:
    lenient = way(unread=False, answered=False, moves=False)

    assert judged(lenient, Verdict(sent=9, **{name: 2})) == [f"2 {name}"]  # type: ignore[arg-type]  # a count


@pytest.mark.parametrize(
    ("harm", "expectation", "failure"),
    [
        ({"unread": 3}, "unread", "3 acknowledged and unread"),
        ({"unread_closed": 3}, "unread", "3 acknowledged and unread"),
        ({"unanswered": 3}, "answered", "3 unanswered"),
    ],
)
def test_permitted_harm_depends_on_way(
    harm: dict[str, Any], expectation: str, failure: str
) -> None:
    assert judged(way(), Verdict(sent=9, **harm)) == [failure]
    lenient = way(**{expectation: False})
    assert judged(lenient, Verdict(sent=9, **harm)) == []


def test_duplicates_after_planned_move_are_failure() -> None:
    twice = Verdict(sent=9, duplicated=3)

    assert judged(way(), twice) == []
    assert judged(way(doubles=False), twice) == ["3 read twice, although the backend was alive"]


@pytest.mark.parametrize(("wait", "is_slow"), [(0.5, False), (1.5, True)])
def test_long_wait_during_planned_move_is_slow(wait: float, *, is_slow: bool) -> None:
    row = Row(way(muted=False))
    for longest in (wait, 0.1):
        row.add(stage(), Verdict(sent=9, longest_wait=longest), None)

    row.judge_pauses(Bounds(death=1, silence=1, muted=1.0))

    told = f"a client's message waited {wait * 1000:.0f} ms at most"
    assert row.notes == [told]
    assert row.slow == [f"{told}, expected 1000 ms"] * is_slow
    assert row.failures == []
    assert row.as_data()["longest_wait"] == wait


def test_slow_reader_excuses_unread_messages() -> None:
    assert judged(way(), Verdict(sent=9, unread_late=3)) == []


def test_unread_messages_are_failure_with_replies() -> None:
    lenient, on = way(unread=False, answered=False), stage(settings=Settings(replies=True))
    verdict = Verdict(sent=9, unread=1, unread_late=2, unanswered=3)
    assert judged(lenient, verdict) == []
    assert judged(lenient, verdict, on) == ["3 acknowledged and unread", "3 unanswered"]


def test_break_that_moves_no_session_is_failure() -> None:
    some = Verdict(sent=9, failovers=4)

    assert judged(way(), some, stage(moved=5)) == ["only 4 of 5 sessions moved"]
    assert judged(way(), some, stage(moved=4)) == []
    assert judged(way(moves=False), some, stage(moved=5)) == []


def test_round_without_messages_is_failure() -> None:
    assert judged(way(), Verdict()) == ["no message was sent"]


@pytest.mark.parametrize(
    ("expected", "pause", "slow"),
    [
        (way(), 60.0, []),
        (way(pause=Bound.DEATH), 0.05, []),
        (way(pause=Bound.DEATH), 0.06, ["median pause 60 ms, expected at most 50 ms"]),
        (way(pause=Bound.SILENCE), 5.1, []),
        (way(pause=Bound.SILENCE), 6.0, ["median pause 6000 ms, expected at most 5150 ms"]),
        (way("mine"), 0.9, []),
        (way("mine"), 1.1, ["median pause 1100 ms, expected at most 1000 ms"]),
        (way("mine", pause=Bound.DEATH), 0.9, []),
    ],
)
def test_median_pause_above_limit_is_slow(expected: Way, pause: float, slow: list[str]) -> None:
    row = Row(expected)
    row.add(stage(), Verdict(sent=9, pauses=[0.01, pause, 99.0]), None)

    row.judge_pauses(BOUNDS)

    assert row.slow == row.as_data()["slow"] == slow
    assert row.failures == []


def test_rounds_add_up() -> None:
    row = Row(way(unread=False))
    for resident, peak in ((10, 30), (20, 20)):
        on = stage()
        on.broken = 2
        on.notes.append("note")
        found = Verdict(sent=5, unread=1, pauses=[float(peak)])
        row.add(on, found, Footprint(resident, peak, files=7))

    assert row.verdict == Verdict(sent=10, unread=2, pauses=[30.0, 20.0])
    assert (row.rounds, row.breaks, row.memory, row.notes) == (2, 4, 30, ["note", "note"])
    assert row.as_data()["pauses"] == {"p50": 20.0, "p99": 30.0, "max": 30.0}


def test_footprint_of_unknown_process_is_none() -> None:
    assert DrilledGateway("ws://nowhere.invalid").footprint() is None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells it")
def test_footprint_measures_process() -> None:

    found = DrilledGateway("ws://nowhere.invalid", os.getpid()).footprint()

    assert found is not None
    assert 2**20 < found.resident <= found.peak
    assert found.files > 3


@pytest.mark.parametrize(
    ("waits", "is_slow"),
    [([], False), ([0.1, 0.2, 0.9], False), ([0.4, 0.4, 0.1], True), ([0.1, 0.1, 1.1], True)],
)
def test_slow_service_after_outage_is_slow(waits: list[float], is_slow: bool) -> None:
    on = stage()
    on.waits = waits
    row = Row(way())
    row.add(on, Verdict(sent=9), None)

    row.judge_pauses(Bounds(death=1, silence=1, back=0.3, back_slowest=1.0))

    assert bool(row.slow) == is_slow
    assert row.failures == []
    assert bool(row.notes) == bool(waits)


@pytest.mark.parametrize(("limit", "is_slow"), [(2.0, False), (0.1, True)])
def test_limit_of_a_way_is_that_of_its_waits_too(limit: float, *, is_slow: bool) -> None:
    on = stage()
    on.waits = [1.5]
    row = Row(way(muted=False))
    row.add(on, Verdict(sent=9, longest_wait=1.5), None)

    row.judge_pauses(
        Bounds(death=1, silence=1, by_way={"way": limit}, back=0.3, back_slowest=1.0, muted=1.0)
    )

    assert len(row.slow) == 2 * is_slow
