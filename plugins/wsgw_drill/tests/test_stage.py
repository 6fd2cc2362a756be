"""Timeouts of a round."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import cast

import pytest
from wsgw_drill import progress_timeout
from wsgw_drill.gateway_process import DrilledGateway
from wsgw_drill.load_client import Load, LoadClient
from wsgw_drill.place import Place
from wsgw_drill.settings import Settings
from wsgw_drill.stage import Plan, Stage, Stuck


class BusyPlace:
    """A broker's worker that always reads something."""

    def __init__(self) -> None:
        self._sizes = itertools.count()

    @property
    def logged(self) -> int:
        return next(self._sizes)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A round with a broker and two clients; each look at the clock advances it by 5 s."""
    clock = itertools.count(step=5)
    monkeypatch.setattr(progress_timeout, "monotonic", lambda: float(next(clock)))
    load = Load(rate=100, smallest=64, largest=64)
    places = [cast("Place", BusyPlace())]
    gateway = DrilledGateway("ws://nowhere.invalid")
    made = Stage(gateway, places, Plan(2, load), Settings(ahead=500))
    made.clients = [made.make_client("c"), made.make_client("c")]
    return made


async def test_client_without_answer_is_stuck_whatever_the_worker_reads(stage: Stage) -> None:
    lively, silent = stage.clients

    def is_served(client: LoadClient) -> bool:
        lively.answers += 1
        return client is not silent

    with pytest.raises(Stuck, match=r"waited \d\d s until every client is served; 1 of 2 are not"):
        await stage.until_served(is_served)


async def test_client_that_gets_old_answers_is_waited_for(stage: Stage) -> None:
    first, _ = stage.clients

    def is_served(client: LoadClient) -> bool:
        client.answers += 1
        return client is first or client.answers == 8

    await stage.until_served(is_served)


@pytest.mark.parametrize(("clients", "ahead"), [(2, 500), (50, 40), (4000, 1)])
async def test_clients_of_a_broker_share_what_may_be_unanswered(
    monkeypatch: pytest.MonkeyPatch, clients: int, ahead: int
) -> None:
    made: list[Load | None] = []

    def make_client(_stage: Stage, _kind: str, load: Load | None) -> LoadClient:
        made.append(load)
        raise Stuck

    load = Load(rate=100, smallest=64, largest=64)
    monkeypatch.setattr(Stage, "make_client", make_client)
    for settings in (Settings(ahead=500), Settings()):
        gateway = DrilledGateway("ws://nowhere.invalid")
        with pytest.raises(Stuck):
            await Stage(gateway, [], Plan(clients, load), settings).start_clients()

    assert made == [replace(load, ahead=ahead), load]
