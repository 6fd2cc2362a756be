"""Planned moves from live backends; with one way the backend ends at that moment."""

from __future__ import annotations

from collections.abc import Callable

from ..admin_api import NotDone, Order
from ..place import Place
from ..stage import TIMEOUT, Stage
from .way import Expectation, Way, begin

_PUSHES = 0.1  # seconds between pushed messages; less than drain.quiet
_MOVED = "every session has moved"


async def drain_under_push(stage: Stage) -> None:
    """Drains the backend that serves most, while it pushes messages and clients send."""
    await begin(stage, "--push", str(_PUSHES))
    settings = stage.settings.drain
    async for _ in stage.breaks():
        victim = stage.busiest()
        moved = _begin_to_leave(stage, victim)
        await _give(stage, "drain", victim)
        longest = settings.patience + stage.plan.clients / settings.rate + TIMEOUT
        await stage.until(moved, _MOVED, longest)
        await stage.all_are_served()
        await _give(stage, "enable", victim)


async def operator_failover(stage: Stage) -> None:
    """Moves all sessions of the backend that serves most at once, although it is alive."""
    await begin(stage)
    async for _ in stage.breaks():
        victim = stage.busiest()
        moved = _begin_to_leave(stage, victim)
        await _give(stage, "failover", victim)
        await stage.until(moved, _MOVED)
        await stage.all_are_served()


async def crossing_closes(stage: Stage) -> None:
    """Does the same, and the backend ends when the first session closes its connection."""
    await begin(stage)
    async for _ in stage.breaks():
        victim = stage.busiest()
        moved = _begin_to_leave(stage, victim)
        victim.end_at_a_close()
        await _give(stage, "failover", victim)
        await stage.until(moved, _MOVED)
        await stage.all_are_served()
        await victim.start()


def _begin_to_leave(stage: Stage, victim: Place) -> Callable[[], bool]:
    """Counts a break; returns a function: whether all sessions of the backend have moved."""
    stage.breaking(victim)
    served = [client.record for client in stage.clients if client.place == victim.name]
    moves = [len(record.pauses) for record in served]
    return lambda: all(
        record.dropped or len(record.pauses) > before
        for record, before in zip(served, moves, strict=True)
    )


async def _give(stage: Stage, order: Order, place: Place) -> None:
    admin = stage.gateway.admin
    if admin is None:
        raise NotDone("the gateway has no admin API for the drill")
    await admin.give(order, place.name)


WAYS = (
    Way(
        "drain-under-push",
        "drain the backend that serves most; it pushes messages all the time",
        drain_under_push,
        Expectation(doubles=False, muted=False),
        steered=True,
        breaks=1,
    ),
    Way(
        "operator-failover",
        "`/backend/failover` of the backend that serves most, which is alive",
        operator_failover,
        # Messages that it has acknowledged but not answered are not sent again.
        Expectation(answered=False, doubles=False, muted=False),
        steered=True,
    ),
    Way(
        "crossing-closes",
        "the same, and the backend ends when the first session leaves: closes cross",
        crossing_closes,
        Expectation(answered=False, muted=False),
        steered=True,
    ),
)
