"""The fuzzer's report of one case."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")
SHOWN = 60  # characters of a message; the fuzzer records a few more
_LONGEST = 300  # characters of one fact in a message of a test


@dataclass(frozen=True)
class CaseReport:
    """One case.

    Attributes:
        number: its place in this run, from 1.
        case: its name, such as "1.1.1".
        facts: all that the fuzzer recorded.
    """

    number: int
    case: str
    facts: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self:
        facts = json.loads(path.read_text("utf-8"))
        return cls(facts["case"], facts["id"], facts)

    @property
    def section(self) -> str:
        return self.case.partition(".")[0]

    @property
    def verdicts(self) -> tuple[str, str]:
        """The verdicts on the messages and on the end of the connection."""
        return self.facts["behavior"], self.facts["behaviorClose"]

    @property
    def passed(self) -> bool:
        return all(verdict in GOOD for verdict in self.verdicts)

    @property
    def breaks_the_protocol(self) -> bool:
        """Whether the fuzzer sends a violation, at which its peer must end the connection."""
        return self.facts["expectedClose"].get("closedByMe") is False

    @property
    def whole_messages(self) -> list[str]:
        """The beginnings of the messages that the fuzzer sends before a violation."""
        events = self.facts["expected"].get("OK", [])
        return [event[1][:SHOWN] for event in events if event[0] == "message"]

    def __str__(self) -> str:
        told = {
            "expectation": self.facts["expectation"],
            "expected": self.facts["expected"],
            "received": self.facts["received"],
            "messages": f"{self.verdicts[0]}: {self.facts['result']}",
            "close": f"{self.verdicts[1]}: {self.facts['resultClose']}",
            "close code": self.facts["remoteCloseCode"],
            "not clean": self.facts["wasNotCleanReason"],
        }
        lines = (f"  {name}: {str(fact)[:_LONGEST]}" for name, fact in told.items() if fact)
        return "\n".join([f"case {self.case}", *lines])


def read_reports(folder: Path) -> list[CaseReport]:
    """Return the reports that the fuzzer wrote, in the order of the cases."""
    reports = map(CaseReport.read, folder.glob("*_case_*.json"))
    return sorted(reports, key=lambda report: report.number)
