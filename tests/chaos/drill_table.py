"""Drill results: how the test processes pass them on, and the table of them at the end."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from wsgw_drill.drill import Drill, Result
from wsgw_drill.report import as_data, table_of
from wsgw_drill.row import Row
from wsgw_drill.ways import WAYS

_KEPT = Path(__file__).parents[2] / "build" / "chaos.json"


def pack(drill: Drill, result: Result) -> bytes:
    """Returns the property's value: the JSON report and the rows."""
    # a way holds functions, which cannot be sent
    names = [field.name for field in dataclasses.fields(Row) if field.name != "way"]
    rows = [
        {"way": row.way.name} | {name: getattr(row, name) for name in names} for row in result.rows
    ]
    return pickle.dumps((as_data(drill, result), rows))


def _unpack(packed: bytes) -> tuple[dict[str, Any], list[Row]]:
    data, rows = pickle.loads(packed)  # noqa: S301 - packed by our own process
    return data, [Row(**{**row, "way": WAYS[row["way"]]}) for row in rows]


def write_table(terminalreporter: pytest.TerminalReporter, properties: Iterable[bytes]) -> None:
    """Prints the table and writes it to build/."""
    found = [_unpack(packed) for packed in properties]
    rows = [row for _, rows in found for row in rows]
    rows.sort(key=lambda row: list(WAYS).index(row.way.name))
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(table_of(rows))
        for row in rows:
            for note in row.notes:
                console.print(f"{row.way.name}: {note}", markup=False)
    terminalreporter.section("what became of the messages")
    terminalreporter.write_line(capture.get())
    _KEPT.parent.mkdir(exist_ok=True)
    _KEPT.write_text(json.dumps([data for data, _ in found], indent=2) + "\n")
    terminalreporter.write_line(f"kept in {_KEPT.relative_to(_KEPT.parents[1])}")
