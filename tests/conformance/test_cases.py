"""Autobahn cases on both legs: all cases about frames, and a sample of the long ones."""

from __future__ import annotations

import asyncio

import pytest

from .case_group import GROUPS, CaseGroup
from .legs import REPORTS, both_legs

_BOUND = 100.0  # seconds for one group; far more than it needs


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
async def test_every_case_passes_on_both_legs(group: CaseGroup) -> None:
    async with asyncio.timeout(_BOUND):
        legs = await both_legs(group, group.sample, REPORTS / "sample")

    cases = {name: [report.case for report in leg.reports] for name, leg in legs.items()}
    assert cases["client"]
    assert cases["client"] == cases["backend"]
    failures = [f"{name}: {failure}" for name, leg in legs.items() for failure in leg.failures()]
    assert not failures, "\n\n".join(failures)
