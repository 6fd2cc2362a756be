"""Backends that fall silent, or drop connections in mid-message."""

from __future__ import annotations

from ..stage import Stage
from .way import Bound, Expectation, Way, begin, proxy_of


async def freeze(stage: Stage) -> None:
    """Freezes the backend that serves most; then resumes or replaces it, by turns."""
    await begin(stage)
    async for number in stage.breaks():
        victim = stage.busiest()
        stage.breaking(victim)
        victim.freeze()
        await stage.all_are_served()
        if number % 2:
            victim.thaw()
        else:
            await victim.start()


async def blackhole(stage: Stage) -> None:
    """Stops the proxy of the backend that serves most from forwarding."""
    await begin(stage)
    async for _ in stage.breaks():
        victim = stage.busiest()
        stage.breaking(victim)
        proxy_of(victim).stall()
        await stage.all_are_served()
        proxy_of(victim).flow()


async def reset(stage: Stage) -> None:
    """Drops all connections of the backend that serves most in mid-message."""
    await begin(stage)
    async for _ in stage.breaks():
        victim = stage.busiest()
        stage.breaking(victim)
        proxy_of(victim).reset_in_mid_message()
        await stage.all_are_served()


WAYS = (
    Way(
        "freeze",
        "SIGSTOP the backend that serves most: it accepts connections and is silent",
        freeze,
        Expectation(pause=Bound.SILENCE, returns=True),
    ),
    Way(
        "blackhole",
        "a proxy in front of it stops forwarding",
        blackhole,
        Expectation(pause=Bound.SILENCE, returns=True),
        proxied=True,
    ),
    Way(
        "reset",
        "a proxy in front of it resets (RST) in mid-message",
        reset,
        Expectation(pause=Bound.DEATH, moves=False),
        proxied=True,
        backends=1,
    ),
)
