"""Thousands of sessions of one backend that move at once."""

from __future__ import annotations

import time

from ..history import read_logs
from ..stage import Stage
from .way import Expectation, Way

SESSIONS = 4_000


async def herd(stage: Stage) -> None:
    """Kills the backend of all sessions, and measures the time until all have moved."""
    victim, *others = stage.places
    await victim.start()
    await stage.start_clients()
    for place in others:
        await place.start()
    stage.breaking(victim)
    killed = time.monotonic_ns()
    await victim.kill()
    await stage.all_are_served()
    readings = read_logs(place.log for place in others)
    moves = [each.time for each in readings if each.kind == "open" and each.number >= 0]
    took = (max(moves, default=killed) - killed) / 1e9
    stage.notes.append(f"{len(moves)} sessions moved within {took:.2f} s")


WAYS = (
    Way(
        "herd",
        f"SIGKILL the only backend of {SESSIONS} sessions; all must move to another",
        herd,
        Expectation(),
        clients=SESSIONS,
    ),
)
