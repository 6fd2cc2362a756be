"""What came of a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .reload_report import ReloadReport


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command.

    Attributes:
        result: `unchanged`: everything was as wanted already. `unknown`: there is nothing of this
            id. `refused`: it cannot be done. `forbidden`: operators may not do that.
            `unsupported`: this gateway, as it is configured, cannot do that.
        problems: why a command was refused or is forbidden.
        report: of a reload that is done.
    """

    result: Literal["done", "unchanged", "unknown", "refused", "forbidden", "unsupported"]
    problems: tuple[str, ...] = ()
    report: ReloadReport | None = None


DONE = Outcome("done")
UNCHANGED = Outcome("unchanged")
UNKNOWN = Outcome("unknown")
UNSUPPORTED = Outcome("unsupported")
