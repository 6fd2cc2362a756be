"""Drills against one gateway each, whose results stand in a table at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from wsgw_drill.drill import Drill, Result

from . import drill_table
from .drill_property import DRILL


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[Drill, Result], None]:
    """Return what puts a result into the table."""

    def note(drill: Drill, result: Result) -> None:
        record_property(DRILL, drill_table.pack(drill, result))

    return note
