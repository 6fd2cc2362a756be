"""Hostile peers hurt neither others nor the gateway's memory; `hostile` has the figures."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from .attacks import ATTACKS
from .hostile import ESTABLISHED, PATIENCE, measure

SECONDS = 3.0
ROUNDS = 5  # many times as many on a machine that has nothing else to do
GROWTH = 24 * 1024 * 1024  # four full ledgers, write buffers and reads, and as much again

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc"),
]


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "none"])
async def test_others_are_served_and_memory_does_not_grow(name: str) -> None:
    measured = await measure(name, SECONDS)
    assert len(measured.newcomer) > ROUNDS
    assert len(measured.healthz) > ROUNDS
    assert len(measured.established) > ROUNDS * ESTABLISHED
    times = (*measured.newcomer, *measured.healthz, *measured.established)
    assert max(times) < PATIENCE
    assert statistics.median(times) < SECONDS / 2
    assert measured.peak - measured.resident < GROWTH
