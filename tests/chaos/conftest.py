"""Fixtures for drills, each against one gateway; a table at the end shows the results."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from wsgw_drill.drill import Drill, Result

from . import drill_table
from .drill_property import DRILL


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[Drill, Result], None]:
    """Returns a function that adds a result to the table."""

    def note(drill: Drill, result: Result) -> None:
        record_property(DRILL, drill_table.pack(drill, result))

    return note
