"""Runs all Autobahn cases on both legs and counts the verdicts.

usage: make conformance ARGS='[GROUP ...]'

The status is 1 when a case has failed. The fuzzer's reports are in build/conformance/all, for each
group and leg with an index.html.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter

from .case_group import GROUPS
from .case_report import GOOD, CaseReport
from .legs import REPORTS, both_legs

_COLUMNS = (*GOOD, "failed")


async def main(names: list[str]) -> int:
    """Run the given groups, or all, one after the other; return the exit status."""
    found: dict[str, list[CaseReport]] = {"client": [], "backend": []}
    failures: list[str] = []
    for group in GROUPS:
        if names and group.name not in names:
            continue
        start = time.monotonic()
        legs = await both_legs(group, group.cases, REPORTS / "all")
        for name, leg in legs.items():
            found[name] += leg.reports
            failures += [f"{name}: {failure}" for failure in leg.failures()]
        print(f"{group.name}: {time.monotonic() - start:.0f} s", flush=True)
    print("", *failures, "", sep="\n")
    print_table(found)
    return 1 if failures else 0


def print_table(found: dict[str, list[CaseReport]]) -> None:
    """Print the number of cases for each section and verdict."""
    counts: dict[tuple[int, str], Counter[str]] = {}
    for name, reports in found.items():
        for report in reports:
            verdict = report.verdicts[0] if report.passed else "failed"
            counts.setdefault((int(report.section), name), Counter())[verdict] += 1
    print("section  leg      cases", *(f"{column:>13}" for column in _COLUMNS))
    for (section, name), verdicts in sorted(counts.items()):
        cells = (f"{verdicts[column]:>13}" for column in _COLUMNS)
        print(f"{section:>7}  {name:<7} {verdicts.total():>6}", *cells)


if __name__ == "__main__":
    known = [group.name for group in GROUPS]
    if not set(sys.argv[1:]) <= set(known):
        sys.exit(f"{__doc__}\ngroups: {', '.join(known)}")
    sys.exit(asyncio.run(main(sys.argv[1:])))
