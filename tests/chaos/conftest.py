"""Drills against one gateway each, whose results stand in a table at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsgw_core.drill.drill import Drill, Result

from . import drill_table


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[Drill, Result], None]:
    """Return what puts a result into the table."""

    def note(drill: Drill, result: Result) -> None:
        record_property(drill_table.NAME, drill_table.pack(drill, result))

    return note
