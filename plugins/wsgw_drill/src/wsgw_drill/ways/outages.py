"""All backends are down at once; measures how soon clients are served when one is back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from ..load_client import LoadClient
from ..stage import Stage
from .way import Expectation, Way, begin

CLIENTS = 100


async def back_from_outage(stage: Stage) -> None:
    """Kills all backends, starts one after a while, and times each client's next answer.

    With a broker, a client has at most one unanswered message. Otherwise it would wait for the
    messages of all others that the backend gets at the same time.
    """
    has_store = stage.settings.ahead is not None
    await begin(stage, load=replace(stage.plan.load, ahead=1) if has_store else None)
    first, *others = stage.places
    async for _ in stage.breaks():
        stage.breaking(*stage.places)
        await asyncio.gather(*(place.kill() for place in stage.places))
        await asyncio.sleep(stage.plan.away)
        answered = {client: len(client.record.answered) for client in stage.clients}
        await first.start()
        listens = time.monotonic()

        def has_answer(
            client: LoadClient,
            answered: dict[LoadClient, int] = answered,
            listens: float = listens,
        ) -> bool:
            if len(client.record.answered) == answered[client]:
                return False
            stage.waits.append(time.monotonic() - listens)
            return True

        await stage.until_served(has_answer)
        await asyncio.gather(*(place.start() for place in others))
        await stage.all_are_served()


WAYS = (
    Way(
        "back-from-outage",
        f"SIGKILL all, start one after --away; {CLIENTS} clients must be served soon",
        back_from_outage,
        Expectation(),
        clients=CLIENTS,
        backends=1,
    ),
)
