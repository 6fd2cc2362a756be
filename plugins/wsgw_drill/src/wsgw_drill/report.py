"""The results as a table and as JSON."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from wsgw_core import __version__

from .drill import Drill, Result
from .row import Row

_COUNTS = (
    "breaks",
    "moves",
    "sent",
    "lost on\nthe way",
    "acked,\nunread",
    "dupli-\ncated",
    "re-\nordered",
    "clients\ndropped",
)


def table_of(rows: list[Row]) -> Table:
    """Returns the table; see docs/how-to/drill.md for its columns."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("way", no_wrap=True)
    for heading in _COUNTS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("pause, ms\np50/p99/max", justify="right", no_wrap=True)
    table.add_column("memory,\nMiB", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        verdict = row.verdict
        unread = verdict.unread + verdict.unread_late + verdict.unread_closed
        cells = (verdict.lost, unread, verdict.duplicated, verdict.reordered, verdict.dropped)
        table.add_row(
            row.way.name,
            str(row.breaks),
            str(verdict.failovers),
            str(verdict.sent),
            *map(str, cells),
            _pauses_text(row),
            "-" if row.memory is None else f"{row.memory / 2**20:.0f}",
            _outcome(row),
        )
    return table


def _outcome(row: Row) -> str:
    if row.failures:
        return "[red]failed[/]"
    return "[yellow]slow[/]" if row.slow else "[green]ok[/]"


def _pauses_text(row: Row) -> str:
    values = list(row.pauses.values())
    if None in values:
        return "-"
    return "/".join(f"{value * 1000:.0f}" for value in values if value is not None)


def as_data(drill: Drill, result: Result) -> dict[str, Any]:
    """Returns the data of the JSON report."""
    plan, load = drill.plan, drill.plan.load
    return {
        "wsgw": __version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "passed": result.passed,
        "failed": result.failed_ways,
        "slow": result.slow_ways,
        "options": {
            "route": drill.route,
            "clients": plan.clients,
            "rate": load.rate,
            "size": [load.smallest, load.largest],
            "compress": load.compress,
            "breaks": plan.breaks,
            "calm": plan.calm,
            "away": plan.away,
            "duration": drill.duration,
        },
        "ways": [row.as_data() for row in result.rows],
        "footprint": result.growth.as_data(),
        "growth": result.growth.failures,
    }


def write_json(file: Path, drill: Drill, result: Result) -> None:
    """Writes the JSON report; raises OSError."""
    file.write_text(json.dumps(as_data(drill, result), indent=2) + "\n")
