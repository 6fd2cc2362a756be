"""Autobahn's cases on both legs: all that are about frames, and a sample of the long ones."""

from __future__ import annotations

import asyncio

import pytest

from .case_group import GROUPS, CaseGroup
from .legs import REPORTS, Leg, both_legs

pytestmark = pytest.mark.slow

_BOUND = 100.0  # seconds for one group; far more than it takes


@pytest.fixture(scope="module", params=GROUPS, ids=lambda group: group.name)
def legs(request: pytest.FixtureRequest) -> dict[str, Leg]:
    group: CaseGroup = request.param

    async def run() -> dict[str, Leg]:
        async with asyncio.timeout(_BOUND):
            return await both_legs(group, group.sample, REPORTS / "sample")

    return asyncio.run(run())


@pytest.mark.parametrize("name", ["client", "backend"])
def test_every_case_passes(legs: dict[str, Leg], name: str) -> None:
    failures = legs[name].failures()
    assert not failures, "\n\n".join(failures)


def test_the_fuzzer_has_run_the_same_cases_on_both_legs(legs: dict[str, Leg]) -> None:
    client, backend = ([report.case for report in leg.reports] for leg in legs.values())
    assert client
    assert client == backend
