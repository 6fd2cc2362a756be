"""Drills against one gateway each, and the table of what they found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from wsgw_core.drill.drill import Drill, Result
from wsgw_core.drill.report import as_data, table_of
from wsgw_core.drill.row import Row

_DRILLS: pytest.StashKey[list[tuple[Drill, Result]]] = pytest.StashKey()
_KEPT = Path(__file__).parents[2] / "build" / "chaos.json"


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[Drill, Result], None]:
    """Return what puts a result into the table."""

    def note(drill: Drill, result: Result) -> None:
        request.config.stash.setdefault(_DRILLS, []).append((drill, result))

    return note


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table, and keep it in build/."""
    found = config.stash.get(_DRILLS, [])
    if not found:
        return
    rows: list[Row] = [row for _, result in found for row in result.rows]
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(table_of(rows))
        for row in rows:
            for note in row.notes:
                console.print(f"{row.way.name}: {note}", markup=False)
    terminalreporter.section("what became of the messages")
    terminalreporter.write_line(capture.get())
    data: list[dict[str, Any]] = [as_data(drill, result) for drill, result in found]
    _KEPT.parent.mkdir(exist_ok=True)
    _KEPT.write_text(json.dumps(data, indent=2) + "\n")
    terminalreporter.write_line(f"kept in {_KEPT.relative_to(_KEPT.parents[1])}")
