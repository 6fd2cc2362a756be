"""Backends that are slow, refuse, drop, or never pong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ..stage import Stage
from .way import Expectation, Way, begin

_SLOWER_THAN_SENT = 1.1
_MUTE_FOR = 3.0


async def read_slowly(stage: Stage) -> None:
    """Have backends read more slowly than clients send, and kill one."""
    await _kill_some(stage, "--delay", f"{_SLOWER_THAN_SENT / stage.plan.load.rate:.4f}")


async def dribble(stage: Stage) -> None:
    """Have backends write three bytes at a time, and kill one."""
    await _kill_some(stage, "--dribble")


async def mute(stage: Stage) -> None:
    """Have backends answer no ping; they are never broken."""
    await begin(stage, "--mute")
    await asyncio.sleep(max(_MUTE_FOR, stage.plan.breaks * stage.plan.calm))
    await stage.all_are_served()


async def _kill_some(stage: Stage, *options: str) -> None:
    await begin(stage, *options)
    async for _ in stage.breaks():
        victim = stage.busiest()
        stage.breaking(victim)
        await victim.kill()
        await stage.all_are_served()
        await victim.start(*options)


def with_a_bad_one(*options: str) -> Callable[[Stage], Awaitable[None]]:
    """Return a way in which only a bad backend is left for the time that a restart takes."""

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
    Way("dribble", "backends write three bytes at a time, and are killed", dribble),
    Way(
        "hang",
        "the only other backend never answers a handshake",
        with_a_bad_one("--hang"),
    ),
    Way("unavailable", "the only other backend answers 503", with_a_bad_one("--status", "503")),
    Way(
        "drop",
        "the only other backend accepts, and drops at the first message",
        with_a_bad_one("--drop"),
    ),
    Way(
        "mute",
        "backends never answer a ping, and live on",
        mute,
        Expectation(moves=False),
    ),
)
