"""Backends that end."""

from __future__ import annotations

import asyncio

from wsgw_core.api import CloseCode

from ..load_client import LoadClient
from ..place import Place
from ..stage import Stage
from .way import Bound, Expectation, Way, begin

_POISONED = 5  # messages of the poisoner before the poison message
_BETWEEN_DEATHS = 0.05


async def kill(stage: Stage) -> None:
    """Kills the backend that serves most, and starts it again."""
    await begin(stage)
    async for _ in stage.breaks():
        victim = stage.busiest()
        stage.breaking(victim)
        await victim.kill()
        await stage.all_are_served()
        await victim.start()


async def terminate(stage: Stage) -> None:
    """Terminates the backend that serves most; it closes all connections with 1001."""
    await begin(stage)
    async for _ in stage.breaks():
        victim = stage.busiest()
        stage.breaking(victim)
        await victim.terminate()
        await stage.all_are_served()
        await victim.start()


async def away(stage: Stage) -> None:
    """Kills all backends, and starts them after a while."""
    await begin(stage)
    async for _ in stage.breaks():
        stage.breaking(*stage.places)
        await asyncio.gather(*(place.kill() for place in stage.places))
        await asyncio.sleep(stage.plan.away)
        await asyncio.gather(*(place.start() for place in stage.places))
        await stage.all_are_served()


async def kill_in_turn(stage: Stage) -> None:
    """Kills one backend, and the next one before the first is back."""
    await begin(stage)
    async for _ in stage.breaks():
        first = stage.busiest()
        second = stage.other(first)
        stage.breaking(first, second)
        await first.kill()
        await asyncio.sleep(_BETWEEN_DEATHS)
        await second.kill()
        await first.start()
        await stage.all_are_served()
        await second.start()


async def kill_in_replay(stage: Stage) -> None:
    """Kills one backend, and the next one when it gets its first message."""
    await begin(stage)
    async for _ in stage.breaks():
        first = stage.busiest()
        second = stage.other(first)
        stage.breaking(first, second)
        await first.kill()
        await stage.until(second.begins_to_log(), "the next backend gets a message")
        await second.kill()
        await asyncio.gather(first.start(), second.start())
        await stage.all_are_served()


async def poison(stage: Stage) -> None:
    """Lets one client send a message that kills every backend; restarts dead backends.

    The gateway must find out which message it is, and close only that client.
    """
    poisoner = stage.make_client("poisoner")
    options = ("--poison", f"{poisoner.record.client}:{_POISONED}")
    await begin(stage, *options)
    sending = stage.let(poisoner.run(stage.gateway.url))
    nursing = [asyncio.create_task(_start_again(place, options)) for place in stage.places]
    try:
        await stage.until(sending.done, "the gateway has closed the client with the poison")
        await stage.all_are_served()
    finally:
        for task in nursing:
            task.cancel()
        await asyncio.gather(*nursing, return_exceptions=True)
    _judge_poisoner(stage, poisoner)


async def _start_again(place: Place, options: tuple[str, ...]) -> None:
    while True:
        await place.died()
        await place.start(*options)


def _judge_poisoner(stage: Stage, poisoner: LoadClient) -> None:
    code = poisoner.record.close_code
    if code != CloseCode.INTERNAL_ERROR:
        stage.failures.append(f"the client with the poison was closed with {code}, not 1011")


WAYS = (
    Way(
        "kill",
        "SIGKILL the backend that serves most",
        kill,
        Expectation(pause=Bound.DEATH),
    ),
    Way(
        "terminate",
        "SIGTERM it; it closes its connections with 1001",
        terminate,
        Expectation(pause=Bound.DEATH),
    ),
    Way("away", "SIGKILL all backends and start them after --away", away, backends=1),
    Way("kill-in-turn", "SIGKILL one, and the next before the first is back", kill_in_turn),
    Way(
        "kill-in-replay",
        "SIGKILL one, and the next in the middle of the replay",
        kill_in_replay,
        replays=True,
    ),
    Way(
        "poison",
        "one message kills every backend; only its client may be closed",
        poison,
        Expectation(moves=False),
        backends=1,
        replays=True,
    ),
)
