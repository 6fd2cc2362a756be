"""The comparison of records: each kind of harm is counted separately."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import pytest
from wsgw_drill.history import Reading, Sent, Verdict, judge, read_logs

from wsgw_core.testing.recording_log import Log

SECOND = 10**9

# a: read by one connection; a+: the same, marked as possibly repeated; A: read by another, later
# connection; s: seen by a stack and not read; s.: closed; A:2: opened, with two messages announced
# as possibly read before; a!: read a corrupted message
HISTORIES = {
    "all is well": ("a0 a1 a2", {}),
    "a replay goes back": ("a0 a1 A:2 A0 A1 A2", {"duplicated": 2, "failovers": 1}),
    "a replay takes up what was not read": ("a0 s1 A1 A2", {}),
    "lost at the end": ("a0 a1", {"lost": 1, "unanswered": 0}),
    "lost in the middle": ("a0 a2", {"lost": 1, "skipped": 1}),
    "lost between two connections": ("a0 A2", {"lost": 1}),
    "acknowledged and not read": ("a0 s1 A2", {"unread": 1}),
    "not read behind an answered close": ("a0 s1 s2 s.", {"unread_closed": 2}),
    "swapped on one connection": ("a0 a2 a1", {"reordered": 1, "skipped": 2}),
    "swapped between connections": ("a0 A2 a1", {"reordered": 1}),
    "twice on one connection": (
        "a0 a1 a1 a2",
        {"duplicated": 1, "skipped": 1, "undeclared": 1},
    ),
    "twice, and it says so": ("a0 a1 a1+ a2", {"duplicated": 1}),
    "first seen as a message that says so": ("a0 a1+ a2", {}),
    "back further than one, and it says so": ("a0 a1 a0+ a1+ a2", {"duplicated": 2}),
    "an early one comes late, and it says so": ("a0 a1 a0+ a2", {"duplicated": 1}),
    "forward over one that says so": ("a0 a2+ a1+", {"reordered": 1, "skipped": 1}),
    "swapped, and the stack had it in time": ("a0 s1 A2 a1+", {"reordered_late": 1}),
    "more twice than announced": (
        "a0 a1 A:1 A0 A1 A2",
        {"duplicated": 2, "undeclared": 1, "failovers": 1},
    ),
    "read by the next before one that was frozen": (
        "a:-1 a0 s1 A:1 A1 A2 a1",
        {"duplicated": 1, "failovers": 1},
    ),
    "not as it was sent": ("a0 a1 a2 a!", {"corrupted": 1}),
    "never sent": ("a0 a1 a2 a3", {"corrupted": 1}),
}


@pytest.mark.parametrize(("told", "harm"), HISTORIES.values(), ids=HISTORIES.keys())
def test_each_kind_of_harm_is_counted_separately(
    tmp_path: Path, told: str, harm: dict[str, Any]
) -> None:
    lines = []
    for time, word in enumerate(told.split()):
        if word == "s.":
            lines.append(f"{time} close s - 0")
            continue
        if word == "a!":
            lines.append(f"{time} corrupt a - 0")
            continue
        if ":" in word:
            lines.append(f"{time} open {word[0]} - {word[2:]}")
            continue
        lines.append(f"{time} stack {word[0]} c1 {word[1]}")
        if word[0] != "s":
            kind = "again" if word.endswith("+") else "read"
            lines.append(f"{time} {kind} {word[0]} c1 {word[1]}")
    log = tmp_path / "log"
    log.write_text("\n".join(lines) + "\n")

    verdict = judge(
        [Sent("c1", sent=3, answered={0, 1, 2})], read_logs([log, tmp_path / "none"]), 0.25, 1.0
    )

    assert verdict == Verdict(sent=3, **harm)


def test_a_line_that_a_kill_has_cut_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("1 read 1-a c1 0\n2 read 1-a c1 1")  # of 12

    Log(str(log)).write("read", "2-a", "c1", 12)
    with log.open("a") as file:
        file.write("9 read 2-a c")

    assert [(each.connection, each.number) for each in read_logs([log])] == [
        ("1-a", 0),
        ("2-a", 12),
    ]


def test_a_new_life_adds_nothing_to_a_log_of_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    Log(str(log))
    assert log.read_text() == ""
    log.write_text("1 read 1-a c1 0\n")
    Log(str(log))
    assert log.read_text() == "1 read 1-a c1 0\n"


@pytest.mark.parametrize(
    ("last_sign", "of", "harm"),
    [
        (14, "1-b", {"unread": 1}),
        (16, "1-b", {"unread_late": 1}),
        (16, "2-b", {"unread": 1}),
    ],
)
def test_unread_messages_of_slow_reader_count_separately(
    last_sign: int, of: str, harm: dict[str, Any]
) -> None:
    readings = [
        Reading(5, "stack", "1-a", "c1", 0),
        Reading(last_sign, "read", of, "c2", 0),
    ]

    verdict = judge([Sent("c1", sent=1, answered={0})], readings, window=10e-9, close_timeout=1.0)

    assert verdict == Verdict(sent=1, **harm)


@pytest.mark.parametrize(("lag", "harm"), [(10, {"unanswered": 1}), (11, {"unanswered_late": 1})])
def test_unanswered_messages_of_slow_reader_count_separately(
    lag: int, harm: dict[str, Any]
) -> None:
    readings = [Reading(5, "stack", "1-a", "c1", 0), Reading(5 + lag, "read", "1-a", "c1", 0)]

    verdict = judge([Sent("c1", sent=1)], readings, window=10e-9, close_timeout=1.0)

    assert verdict == Verdict(sent=1, **harm)


@pytest.mark.parametrize(
    ("sent_at", "longest"), [([], 0.0), ([2], 1.0), ([2, 1], 4.0), ([2, 5, 8], 1.0)]
)
def test_longest_wait_of_message_for_stack_is_reported(sent_at: list[int], longest: float) -> None:
    readings = [
        Reading(time * SECOND, "stack", f"1-{connection}", "c1", number)
        for time, connection, number in [(3, "a", 0), (5, "b", 1), (7, "b", 0), (9, "b", 2)]
    ]
    times = array("q", [time * SECOND for time in sent_at])

    verdict = judge([Sent("c1", len(times), times)], readings, window=0.25, close_timeout=1.0)

    assert verdict.longest_wait == longest


def test_harm_in_client_records_is_counted() -> None:
    clients = [
        Sent("c1", sent=2, answered={0}, dropped=True, pauses=[0.25], swapped=1),
        Sent("c2", sent=1, answered={0}, pauses=[0.5], foreign=1),
    ]

    verdict = judge(clients, [], window=0.25, close_timeout=1.0)

    assert (verdict.sent, verdict.lost, verdict.unanswered) == (3, 3, 1)
    assert (verdict.dropped, verdict.reordered, verdict.corrupted) == (1, 1, 1)
    assert verdict.pauses == [0.25, 0.5]
    assert verdict.faults == {"lost": 3, "dropped": 1, "reordered": 1, "corrupted": 1}


@pytest.mark.parametrize(
    ("told", "closed", "overdue"),
    [
        ("a0 a1", 1.0, 1),  # the gateway may have dropped it
        ("a0 s1", 1.0, 2),
        ("", 1.0, 3),
        ("a0 s1 a.9", 1.0, 2),  # the gateway closes after it drops messages
        ("a0 s1 a.3", 1.0, 0),  # the gateway considered everything delivered
        ("a0 s1 b1 b.3", 1.0, 0),
        ("a0 s1 a.0.5", 1.0, 2),  # the backend's own close
        ("a0 a2", 1.0, 0),  # the gateway drops messages from the end
        ("a0 a1", None, 0),  # the client is still connected
    ],
)
def test_overdue_counts_messages_that_gateway_may_drop(
    told: str, closed: float | None, overdue: int
) -> None:
    when = None if closed is None else int(closed * SECOND)
    readings = []
    for word in told.split():
        connection, number = word[0], word[1:]
        if number.startswith("."):
            time = int(float(number[1:]) * SECOND)
            readings.append(Reading(time, "close", f"1-{connection}", "-", 0))
            continue
        readings.append(Reading(0, "stack", f"1-{connection}", "c1", int(number)))
        if connection != "s":
            readings.append(Reading(0, "read", f"1-{connection}", "c1", int(number)))

    verdict = judge([Sent("c1", sent=3, closed=when)], readings, window=99, close_timeout=5.0)

    assert verdict.lost + verdict.unread + verdict.unread_closed > 0
    assert verdict.overdue == overdue
