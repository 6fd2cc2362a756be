"""Backends that are slow, refuse, drop, or never send pongs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ..load_client import Load
from ..stage import Stage
from .way import Expectation, Way, begin

_SLOWER_THAN_SENT = 1.1
_LATE = 0.02  # seconds for each message
_LATE_BY = 100  # maximum messages
_MUTE_FOR = 7.0  # seconds: usually longer than the gateway's ping timeout


async def read_slowly(stage: Stage) -> None:
    """Runs backends that read more slowly than clients send, and kills one."""
    await _kill_some(stage, "--delay", f"{_SLOWER_THAN_SENT / stage.plan.load.rate:.4f}")


async def read_late(stage: Stage) -> None:
    """Runs backends whose stacks read faster than their applications, and kills one."""
    load = replace(stage.plan.load, rate=2 / _LATE, ahead=_LATE_BY)
    await _kill_some(stage, "--delay", str(_LATE), "--eager", load=load)


async def dribble(stage: Stage) -> None:
    """Runs backends that write three bytes at a time, and kills one."""
    await _kill_some(stage, "--dribble")


async def mute(stage: Stage) -> None:
    """Runs one backend that answers no pings; the gateway may leave it or keep it."""
    bad, *good = stage.places
    await bad.start("--mute")
    for place in good:
        await place.start()
    await stage.start_clients()
    await asyncio.sleep(_MUTE_FOR)
    await stage.all_are_served()


async def _kill_some(stage: Stage, *options: str, load: Load | None = None) -> None:
    await begin(stage, *options, load=load)
    async for _ in stage.breaks():
        victim = stage.busiest()
        stage.breaking(victim)
        await victim.kill()
        await stage.all_are_served()
        await victim.start(*options)


def with_a_bad_one(*options: str) -> Callable[[Stage], Awaitable[None]]:
    """Returns a way in which only a bad backend is left while the good one restarts."""

    async def go(stage: Stage) -> None:
        await begin(stage)
        async for _ in stage.breaks():
            good = stage.busiest()
            bad = stage.other(good)
            stage.breaking(bad)
            await bad.start(*options)
            await stage.all_are_served()
            stage.breaking(good)
            await good.start()
            await stage.all_are_served()
            await bad.start()

    return go


WAYS = (
    Way(
        "slow-backend",
        "backends read more slowly than clients send, and are killed",
        read_slowly,
        Expectation(unread=False, answered=False),
    ),
    Way(
        "late-reader",
        "backends have up to 100 unread messages of a client, and are killed",
        read_late,
        Expectation(unread=False, answered=False),
    ),
    Way("dribble", "backends write three bytes at a time, and are killed", dribble),
    Way(
        "hang",
        "the only other backend never answers a handshake",
        with_a_bad_one("--hang"),
    ),
    Way("unavailable", "the only other backend answers 503", with_a_bad_one("--status", "503")),
    Way(
        "drop",
        "the only other backend accepts, and drops the connection at the first message",
        with_a_bad_one("--drop"),
    ),
    Way(
        "mute",
        "one backend never answers pings, and stays alive",
        mute,
        Expectation(moves=False),
    ),
)
