"""What one way has come to, over all its rounds, and whether that is what was expected."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .gateway_process import Footprint
from .history import Verdict
from .stage import Stage
from .ways import Bound, Way

_OTHERS = {"longest_wait", "pauses"}
_COUNTS = tuple(each.name for each in dataclasses.fields(Verdict) if each.name not in _OTHERS)


def percentile(values: list[float], share: float) -> float | None:
    """Returns the smallest value that `share` of the values do not exceed; None: no values."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else None


@dataclass(frozen=True)
class Bounds:
    """What median pauses must not exceed, in seconds.

    Attributes:
        death: where a backend's end is seen at once.
        silence: where a ping has to stay unanswered first.
        by_way: for single ways, which win.
        back, back_slowest: median and longest wait of held clients once a backend is back.
        muted: how long a client's message may wait, where backends are left as planned.
    """

    death: float
    silence: float
    by_way: dict[str, float] = field(default_factory=dict)
    back: float = math.inf
    back_slowest: float = math.inf
    muted: float = math.inf

    def of(self, way: Way) -> float | None:
        """Returns a way's bound; None: it has none."""
        general = {Bound.NONE: None, Bound.DEATH: self.death, Bound.SILENCE: self.silence}
        return self.by_way.get(way.name, general[way.expectation.pause])


@dataclass
class Row:
    """One way's results.

    Attributes:
        way: what was done.
        rounds, breaks: how often.
        verdict: the sums.
        undelivered: messages that the gateway has given up, and counted; None: it does not tell.
        memory: the most bytes that the gateway's process held at the end of a round.
        failures: what was not as expected, one line each.
        notes: what else there is to tell.
        slow: the pauses are among the failures.
        waits: of held clients for a backend that listens again, in seconds.
    """

    way: Way
    rounds: int = 0
    breaks: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    undelivered: int | None = None
    memory: int | None = None
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    slow: bool = False
    waits: list[float] = field(default_factory=list)

    @property
    def pauses(self) -> dict[str, float | None]:
        """The pauses' percentiles, in seconds."""
        found = self.verdict.pauses
        return {
            "p50": percentile(found, 0.5),
            "p99": percentile(found, 0.99),
            "max": max(found, default=None),
        }

    def add(self, stage: Stage, verdict: Verdict, footprint: Footprint | None) -> None:
        """Adds a round that came to its end."""
        self.rounds += 1
        self.breaks += stage.broken
        for name in _COUNTS:
            setattr(self.verdict, name, getattr(self.verdict, name) + getattr(verdict, name))
        self.verdict.pauses += verdict.pauses
        self.verdict.longest_wait = max(self.verdict.longest_wait, verdict.longest_wait)
        if stage.undelivered is not None:
            self.undelivered = (self.undelivered or 0) + stage.undelivered
        if footprint is not None:
            self.memory = max(self.memory or 0, footprint.peak)
        self.notes += stage.notes
        self.waits += stage.waits
        if stage.refused:
            self.failures.append(stage.refused)
            return
        verdict = self._without_given_up(stage, verdict)
        if stage.settings.at_most_once:
            verdict = dataclasses.replace(verdict, unanswered=0)
            if self.way.expectation.returns:  # and reads what it had, which nobody else has got
                verdict = dataclasses.replace(verdict, reordered=0)
            if verdict.duplicated:
                self.failures.append(f"{verdict.duplicated} read twice: this is not at-most-once")
        self.failures += [*stage.failures, *_harm(self.way, stage, verdict)]

    def _without_given_up(self, stage: Stage, verdict: Verdict) -> Verdict:
        """Returns the verdict without what may be lost, and notes that."""
        losses = verdict.lost + verdict.unread + verdict.unread_closed
        why = self._why_given_up(stage, all_overdue=losses <= verdict.overdue)
        if losses and why is not None:
            counted, may_be = stage.undelivered, f"{losses} messages not read {why}"
            if counted is None:
                self.notes.append(f"{may_be}, but what the gateway has counted cannot be read")
            elif losses <= counted:
                self.notes.append(f"{may_be}, and the gateway has counted {counted} as undelivered")
                return dataclasses.replace(verdict, lost=0, unread=0, unread_closed=0)
        return verdict

    def _why_given_up(self, stage: Stage, *, all_overdue: bool) -> str | None:
        """Says by what right the gateway can have given messages up; None: by none."""
        if stage.settings.at_most_once:
            return "that lost backends had been given: failover.delivery is at-most-once"
        if self.way.expectation.given_up and all_overdue:
            return "of clients that had closed: limits.close-timeout was over"
        return None

    def judge_pauses(self, bounds: Bounds) -> None:
        """Compares the median pause with its bound, once all rounds are over."""
        bound, median = bounds.of(self.way), self.pauses["p50"]
        if bound is not None and median is not None and median > bound:
            self.slow = True
            self.failures.append(
                f"median pause {median * 1000:.0f} ms, expected at most {bound * 1000:.0f} ms"
            )
        self._judge_waits(bounds)
        if not self.way.expectation.muted:
            self._judge_longest_wait(bounds)

    def _judge_waits(self, bounds: Bounds) -> None:
        median, slowest = percentile(self.waits, 0.5), max(self.waits, default=None)
        if median is None or slowest is None:
            return
        found = f"{median * 1000:.0f} ms (median) and {slowest * 1000:.0f} ms (slowest)"
        self.notes.append(f"clients were served {found} after a backend listened again")
        if median > bounds.back or slowest > bounds.back_slowest:
            self.slow = True
            self.failures.append(
                f"served after {found}, expected at most {bounds.back * 1000:.0f} ms and"
                f" {bounds.back_slowest * 1000:.0f} ms"
            )

    def _judge_longest_wait(self, bounds: Bounds) -> None:
        longest = self.verdict.longest_wait
        found = f"a client's message waited {longest * 1000:.0f} ms at most"
        self.notes.append(found)
        if longest > bounds.muted:
            self.slow = True
            self.failures.append(f"{found}, expected {bounds.muted * 1000:.0f} ms")

    def as_data(self) -> dict[str, Any]:
        """Returns what the JSON report holds."""
        return {
            "way": self.way.name,
            "rounds": self.rounds,
            "breaks": self.breaks,
            **{name: getattr(self.verdict, name) for name in _COUNTS},
            "undelivered": self.undelivered,
            "longest_wait": self.verdict.longest_wait,
            "pauses": self.pauses,
            "memory": self.memory,
            "notes": self.notes,
            "failures": self.failures,
        }


def _harm(way: Way, stage: Stage, verdict: Verdict) -> list[str]:
    expected = way.expectation
    harm = [f"{count} {name}" for name, count in verdict.faults.items()]
    codes = Counter(record.close for record in stage.records if record.dropped)
    harm += [f"{count} dropped with close code {close}" for close, count in codes.items()]
    replies = stage.settings.replies
    unread = verdict.unread + verdict.unread_closed + (verdict.unread_late if replies else 0)
    if (expected.unread or replies) and unread:
        harm.append(f"{unread} acknowledged and unread")
    if verdict.duplicated and not expected.doubles:
        harm.append(f"{verdict.duplicated} read twice, though the backend lived")
    if (expected.answered or replies) and verdict.unanswered:
        harm.append(f"{verdict.unanswered} unanswered")
    moves = expected.moves and stage.settings.moves_told
    if moves and verdict.failovers < stage.moved:
        harm.append(f"{verdict.failovers} sessions moved of {stage.moved} that had to")
    if not verdict.sent:
        harm.append("nothing was sent")
    return harm
