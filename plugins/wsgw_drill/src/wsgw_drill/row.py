"""The results of one way over all its rounds, compared with the expectation."""

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
    """Limits of times, in seconds.

    Attributes:
        death: of the median pause in ways in which wsgw sees a backend's end at once.
        silence: of the median pause in ways in which a ping must time out first.
        by_way: of all times of single ways; they take precedence.
        back, back_slowest: of clients' median and longest wait after a backend returns.
        muted: of the wait of a message during planned moves.
    """

    death: float
    silence: float
    by_way: dict[str, float] = field(default_factory=dict)
    back: float = math.inf
    back_slowest: float = math.inf
    muted: float = math.inf

    def of(self, way: Way) -> float | None:
        """Returns the limit of the median pause of a way; None: no limit."""
        general = {Bound.NONE: None, Bound.DEATH: self.death, Bound.SILENCE: self.silence}
        return self.by_way.get(way.name, general[way.expectation.pause])


@dataclass
class Row:
    """One way's results.

    Attributes:
        way: the way.
        rounds, breaks: numbers of rounds and breaks.
        verdict: the sums over all rounds.
        undelivered: messages that the gateway counted as undelivered; None: unknown.
        memory: maximum bytes of the gateway's process during the rounds.
        failures: deviations from the expectation other than `slow`, one line each.
        slow: times that were longer than their limits, one line each.
        notes: further facts, one line each.
        waits: seconds that clients waited for a backend that listens again.
    """

    way: Way
    rounds: int = 0
    breaks: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    undelivered: int | None = None
    memory: int | None = None
    failures: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    @property
    def pauses(self) -> dict[str, float | None]:
        """The percentiles of the pauses, in seconds."""
        found = self.verdict.pauses
        return {
            "p50": percentile(found, 0.5),
            "p99": percentile(found, 0.99),
            "max": max(found, default=None),
        }

    def add(self, stage: Stage, verdict: Verdict, footprint: Footprint | None) -> None:
        """Adds the results of a round."""
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
            if self.way.expectation.returns:  # no other backend got its messages
                verdict = dataclasses.replace(verdict, reordered=0)
            if verdict.duplicated:
                self.failures.append(f"{verdict.duplicated} read twice, despite at-most-once")
        self.failures += [*stage.failures, *_harm(self.way, stage, verdict)]

    def _without_given_up(self, stage: Stage, verdict: Verdict) -> Verdict:
        """Returns the verdict without permitted losses, and adds a note about them."""
        losses = verdict.lost + verdict.unread + verdict.unread_closed
        why = self._why_given_up(stage, all_overdue=losses <= verdict.overdue)
        if losses and why is not None:
            counted, may_be = stage.undelivered, f"{losses} messages not read {why}"
            if counted is None:
                self.notes.append(f"{may_be}, but the gateway's count is not available")
            elif losses <= counted:
                self.notes.append(f"{may_be}, and the gateway counted {counted} as undelivered")
                return dataclasses.replace(verdict, lost=0, unread=0, unread_closed=0)
        return verdict

    def _why_given_up(self, stage: Stage, *, all_overdue: bool) -> str | None:
        """Returns why the gateway may drop messages; None: it may not."""
        if stage.settings.at_most_once:
            return "by lost backends: failover.delivery is at-most-once"
        if self.way.expectation.given_up and all_overdue:
            return "of closed clients: limits.close-timeout had passed"
        return None

    def judge_pauses(self, bounds: Bounds) -> None:
        """Compares the times with their limits, after all rounds."""
        bound, median = bounds.of(self.way), self.pauses["p50"]
        if bound is not None and median is not None and median > bound:
            self.slow.append(
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
        most = bounds.by_way.get(self.way.name, bounds.back)
        most_slowest = bounds.by_way.get(self.way.name, bounds.back_slowest)
        if median > most or slowest > most_slowest:
            self.slow.append(
                f"served after {found}, expected at most {most * 1000:.0f} ms and"
                f" {most_slowest * 1000:.0f} ms"
            )

    def _judge_longest_wait(self, bounds: Bounds) -> None:
        longest = self.verdict.longest_wait
        found = f"a client's message waited {longest * 1000:.0f} ms at most"
        self.notes.append(found)
        most = bounds.by_way.get(self.way.name, bounds.muted)
        if longest > most:
            self.slow.append(f"{found}, expected {most * 1000:.0f} ms")

    def as_data(self) -> dict[str, Any]:
        """Returns the data for the JSON report."""
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
            "slow": self.slow,
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
        harm.append(f"{verdict.duplicated} read twice, although the backend was alive")
    if (expected.answered or replies) and verdict.unanswered:
        harm.append(f"{verdict.unanswered} unanswered")
    moves = expected.moves and stage.settings.moves_told
    if moves and verdict.failovers < stage.moved:
        harm.append(f"only {verdict.failovers} of {stage.moved} sessions moved")
    if not verdict.sent:
        harm.append("no message was sent")
    return harm
