"""Backends that are there and say nothing, or break off in mid-message."""

from __future__ import annotations

from ..place import Place
from ..stage import Stage
from ..tcp_proxy import TcpProxy
from .way import Bound, Expectation, Way, begin


async def freeze(stage: Stage) -> None:
    """Stops the backend that serves most; then let it go on, or kill it, by turns."""
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
    """Has the proxy before the backend that serves most forward nothing any more."""
    await begin(stage)
    async for _ in stage.breaks():
        victim = stage.busiest()
        stage.breaking(victim)
        _proxy_of(victim).stall()
        await stage.all_are_served()
        _proxy_of(victim).flow()


async def reset(stage: Stage) -> None:
    """Breaks off all connections of the backend that serves most in mid-message."""
    await begin(stage)
    async for _ in stage.breaks():
        victim = stage.busiest()
        stage.breaking(victim)
        _proxy_of(victim).reset_in_mid_message()
        await stage.all_are_served()


def _proxy_of(place: Place) -> TcpProxy:
    if place.proxy is None:
        raise RuntimeError("the way is not declared as one with proxies")
    return place.proxy


WAYS = (
    Way(
        "freeze",
        "SIGSTOP the backend that serves most: it accepts and is silent",
        freeze,
        Expectation(pause=Bound.SILENCE, returns=True),
    ),
    Way(
        "blackhole",
        "a proxy before it stops forwarding",
        blackhole,
        Expectation(pause=Bound.SILENCE, returns=True),
        proxied=True,
    ),
    Way(
        "reset",
        "a proxy before it resets (RST) in mid-message",
        reset,
        Expectation(pause=Bound.DEATH, moves=False),
        proxied=True,
        backends=1,
    ),
)
