"""Hostile peers harm neither other sessions nor the gateway's memory; see `hostile` for figures."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from .attacks import ATTACKS
from .hostile import TIMEOUT, measure

SECONDS = 3.0
ROUNDS = 5  # rounds of each measured peer, even on a busy machine
GROWTH = 24 * 1024 * 1024  # four full ledgers, write buffers and reads, and the same again

_BOUNDED = [name for name, attack in ATTACKS.items() if attack.memory is not None]
_ORDINARY = [name for name in ATTACKS if name != "none" and name not in _BOUNDED]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc"),
]


@pytest.mark.parametrize("name", _ORDINARY)
async def test_attack_leaves_other_sessions_served_and_memory_bounded(name: str) -> None:
    measured = await measure(name, SECONDS, ROUNDS)
    times = (*measured.newcomer, *measured.healthz, *measured.established)
    assert max(times) < TIMEOUT
    assert statistics.median(times) < SECONDS / 2
    assert measured.peak - measured.resident < GROWTH


@pytest.mark.parametrize("name", _BOUNDED)
async def test_many_attackers_keep_memory_near_the_bound_and_sessions_served(
    name: str,
) -> None:
    measured = await measure(name, SECONDS, ROUNDS)
    assert max(*measured.healthz, *measured.established) < TIMEOUT
    # The bound, and what 400 connections add before they are paused; without it at least 363 MiB.
    assert measured.peak - measured.resident < (64 + 200) * 1024 * 1024
