"""Every way of the drill, in short: nothing may be lost. Pauses are told and not judged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from wsgw_drill.drill import Drill, Result
from wsgw_drill.load_client import Load
from wsgw_drill.row import Bounds, Row
from wsgw_drill.settings import Settings
from wsgw_drill.stage import Plan, Stage
from wsgw_drill.target import Address, StockGateway
from wsgw_drill.ways import WAYS, Way

from wsgw_core.api import PlayedBackend

from .few_at_a_time import few_at_a_time

SHORT = Plan(clients=8, load=Load(rate=20, smallest=64, largest=16_384), breaks=2, calm=0.3, away=1)
# More load than this keeps two processors busy, and then nothing but their speed is tried.
AT_MOST = {"herd": 400, "back-from-outage": 50}
NO_BOUNDS = Bounds(death=math.inf, silence=math.inf)
BACKENDS = [Address("blue"), Address("green")]
# A frozen backend is found out within a second, so that CI need not wait for five. A backend that
# is left is given more time than by default, since it may be a busy machine.
IMPATIENT = {
    "WSGW_FAILOVER__PING_TIMEOUT": "1s",
    "WSGW_FAILOVER__DIAL_TIMEOUT": "1s",
    "WSGW_DRAIN__PATIENCE": "1s",
    "WSGW_DRAIN__STEP": "10s",
}
OTHERWISE = {
    # How often a message meets a backend that drops it depends on how soon the other one is back.
    "drop": {"WSGW_FAILOVER__MAX_REPLAYS": "1000"},
    # Nothing freezes, and a busy machine takes more than a second for hundreds of dials.
    "herd": {"WSGW_FAILOVER__DIAL_TIMEOUT": "10s", "WSGW_FAILOVER__PING_TIMEOUT": "5s"},
}
# Only answers tell what these have read.
ANSWERED = {"late-reader"}


class Nobody:
    """Is told how it goes, and does not care."""

    def round_begins(self, row: Row, stage: Stage) -> None: ...

    def round_ends(self, row: Row) -> None: ...


def in_short(way: Way) -> Way:
    return replace(way, clients=AT_MOST.get(way.name))


@pytest.mark.slow
@pytest.mark.parametrize("names", few_at_a_time(WAYS, alone=[*OTHERWISE, *ANSWERED]), ids=" ".join)
async def test_nothing_is_lost_and_no_client_notices(
    names: tuple[str, ...], report: Callable[[Drill, Result], None]
) -> None:
    drill = Drill(
        StockGateway(
            BACKENDS,
            IMPATIENT | OTHERWISE.get(names[0], {}),
            Settings(replies=names[0] in ANSWERED),
        ),
        [in_short(WAYS[name]) for name in names],
        SHORT,
        NO_BOUNDS,
    )

    result = await drill.run(Nobody())

    report(drill, result)
    assert result.passed, {row.way.name: row.failures for row in result.rows}


@pytest.mark.slow
async def test_another_kind_is_played_by_the_process_that_its_plugin_names() -> None:
    played = PlayedBackend(
        "tests.chaos.played_websocket",
        "ws://{address}/base",
        ways=("away", "client-floods"),
        keys={"ack-interval": "20ms"},
        backends=1,
        moves_told=False,
    )
    target = StockGateway(
        BACKENDS[:1], IMPATIENT, Settings(moves_told=played.moves_told), played=played
    )
    drill = Drill(target, [WAYS[name] for name in played.ways], SHORT, NO_BOUNDS)

    result = await drill.run(Nobody())

    assert result.passed, [row.failures for row in result.rows]
    assert [row.verdict.sent > 0 for row in result.rows] == [True, True]
    assert [row.verdict.failovers for row in result.rows] == [0, 0]
