"""The checker itself: each kind of harm is told from the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from .history import Sent, Verdict, judge, read_logs

# a: read by one connection; A: by another, later one; s: seen by a stack and not read; s.: closed
HISTORIES = {
    "all is well": ("a0 a1 a2", {}),
    "a replay goes back": ("a0 a1 A0 A1 A2", {"duplicated": 2}),
    "a replay takes up what was not read": ("a0 s1 A1 A2", {}),
    "lost at the end": ("a0 a1", {"lost": 1, "unanswered": 0}),
    "lost in the middle": ("a0 a2", {"lost": 1, "skipped": 1}),
    "lost between two connections": ("a0 A2", {"lost": 1}),
    "acknowledged and not read": ("a0 s1 A2", {"unread": 1}),
    "not read behind an answered close": ("a0 s1 s2 s.", {"unread_closed": 2}),
    "swapped on one connection": ("a0 a2 a1", {"reordered": 1, "skipped": 2}),
    "swapped between connections": ("a0 A2 a1", {"reordered": 1}),
    "twice on one connection": ("a0 a1 a1 a2", {"duplicated": 1, "skipped": 1}),
}


@pytest.mark.parametrize(("told", "harm"), HISTORIES.values(), ids=HISTORIES.keys())
def test_harm_is_counted_as_what_it_is(tmp_path: Path, told: str, harm: dict[str, int]) -> None:
    lines = []
    for time, word in enumerate(told.split()):
        if word == "s.":
            lines.append(f"{time} close s - 0")
            continue
        lines.append(f"{time} stack {word[0]} c1 {word[1]}")
        if word[0] != "s":
            lines.append(f"{time} read {word[0]} c1 {word[1]}")
    log = tmp_path / "log"
    log.write_text("\n".join(lines) + "\n")

    verdict = judge([Sent("c1", sent=3, answered={0, 1, 2})], read_logs([log, tmp_path / "none"]))

    assert verdict == Verdict(sent=3, **harm)


def test_what_clients_noticed_is_counted() -> None:
    clients = [
        Sent("c1", sent=2, answered={0}, dropped=True, longest_pause=0.25),
        Sent("c2", sent=1, answered={0}, longest_pause=0.5),
    ]

    verdict = judge(clients, [])

    assert (verdict.sent, verdict.lost, verdict.unanswered) == (3, 3, 1)
    assert (verdict.dropped, verdict.pause_ms) == (1, 500)
    assert verdict.faults == {"lost": 3, "dropped": 1}
