"""Clients that are slow, vanish, flood, or send and close at once. Others must not notice."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Awaitable, Callable
from functools import partial

from ..history import Verdict
from ..place import Place
from ..stage import Stage
from .way import Expectation, Way, begin, proxy_of

_SEND_AND_CLOSE = 200
_SEND_AND_VANISH = 50
_BEGUN = 2_000  # bytes of log


async def slow(stage: Stage) -> None:
    """Runs clients that send and read no answers."""
    await begin(stage)
    load = dataclasses.replace(stage.plan.load, ahead=stage.settings.ahead)
    async for _ in stage.breaks():
        enough = asyncio.Event()
        rude = [
            stage.let(
                stage.make_client("slow", load).send_without_reading(stage.gateway.url, enough)
            )
            for _ in range(_some(stage))
        ]
        await asyncio.sleep(stage.plan.calm)
        await stage.all_are_served()
        enough.set()
        await asyncio.gather(*rude)
    await stage.all_are_served()


async def vanish(stage: Stage) -> None:
    """Runs clients that send and drop their connections without a close."""
    await begin(stage)
    async for _ in stage.breaks():
        await asyncio.gather(
            *(
                stage.make_client("vanishing").send_and_vanish(stage.gateway.url, _SEND_AND_VANISH)
                for _ in range(_some(stage))
            )
        )
        await stage.all_are_served()


async def flood(stage: Stage) -> None:
    """Runs clients that send as fast as possible; their messages must arrive too."""
    await begin(stage)
    load = dataclasses.replace(stage.plan.load, rate=math.inf, ahead=stage.settings.ahead)
    finished = []
    async for _ in stage.breaks():
        flooding = [stage.make_client("flooding", load) for _ in range(2)]
        tasks = [stage.let(client.run(stage.gateway.url)) for client in flooding]
        await asyncio.sleep(stage.plan.calm)
        await stage.all_are_served()
        for client in flooding:
            client.stop_sending()
        await asyncio.gather(*tasks)
        finished += flooding
    stage.clients += finished


async def close(stage: Stage) -> None:
    """Runs clients that send and close at once, and kills their backend meanwhile."""
    await _close(stage, Place.start)


async def close_in_reset(stage: Stage) -> None:
    """Does the same, but resets the connections of a backend that stays alive."""

    async def reset(place: Place) -> None:
        proxy_of(place).reset_in_mid_message()

    await _close(stage, reset)


async def _close(stage: Stage, break_: Callable[[Place], Awaitable[None]]) -> None:
    for place in stage.places:
        await place.start()
    async for _ in stage.breaks():
        clients = [stage.make_client("closing") for _ in range(stage.plan.clients)]
        begun = {place: place.begins_to_log(_BEGUN) for place in stage.places}
        tasks = [
            stage.let(client.send_and_close(stage.gateway.url, _SEND_AND_CLOSE))
            for client in clients
        ]
        await stage.until(partial(_any, begun), "the first messages are read")
        victim = next(place for place, has_begun in begun.items() if has_begun())
        stage.broken += 1
        await break_(victim)
        await asyncio.gather(*tasks)
        stage.clients += clients
    await stage.settled(_all_are_read)


def _all_are_read(found: Verdict) -> bool:
    return not (found.lost or found.unread or found.unread_closed)


def _any(begun: dict[Place, Callable[[], bool]]) -> bool:
    return any(has_begun() for has_begun in begun.values())


def _some(stage: Stage) -> int:
    return max(1, stage.plan.clients // 5)


WAYS = (
    Way(
        "client-slow",
        "some clients send and read no answers",
        slow,
        Expectation(moves=False),
        backends=1,
        failover=False,
    ),
    Way(
        "client-vanishes",
        "clients send and drop their connections without a close",
        vanish,
        Expectation(moves=False),
        backends=1,
        failover=False,
    ),
    Way(
        "client-floods",
        "some clients send as fast as they can",
        flood,
        Expectation(moves=False),
        backends=1,
        failover=False,
    ),
    Way(
        "client-closes",
        "clients send and close at once, and their backend is killed meanwhile",
        close,
        # Clients cannot read answers after their close.
        Expectation(answered=False, moves=False, given_up=True),
        backends=1,
    ),
    Way(
        "reset-in-close",
        "the same, but a proxy resets (RST) the connections of the backend, which is alive",
        close_in_reset,
        Expectation(answered=False, moves=False, given_up=True),
        proxied=True,
        backends=1,
    ),
)
