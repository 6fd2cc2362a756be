"""A short drill of every way: the gateway loses nothing. Pauses are reported and not judged."""

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
# More load keeps two processors busy, and then tests only their speed.
AT_MOST = {"herd": 400, "back-from-outage": 50}
# One Python process serves all of its sessions, and can have a small share of a processor.
SLOWER = {
    "herd": replace(SHORT, load=replace(SHORT.load, rate=1)),
    "back-from-outage": replace(SHORT, load=replace(SHORT.load, rate=4)),
}
NO_BOUNDS = Bounds(death=math.inf, silence=math.inf)
BACKENDS = [Address("blue"), Address("green")]
# A frozen backend is detected within a second, so that CI need not wait for five. Draining gets
# more time than the default, since the machine can be busy.
IMPATIENT = {
    "WSGW_FAILOVER__PING_TIMEOUT": "1s",
    "WSGW_FAILOVER__DIAL_TIMEOUT": "1s",
    "WSGW_DRAIN__PATIENCE": "1s",
    "WSGW_DRAIN__STEP": "10s",
}
OTHERWISE = {
    # How often a message meets a backend that drops it depends on how soon the other one returns.
    "drop": {"WSGW_FAILOVER__MAX_REPLAYS": "1000"},
    # Nothing freezes, and on a busy machine hundreds of dials take more than a second.
    "herd": {"WSGW_FAILOVER__DIAL_TIMEOUT": "10s", "WSGW_FAILOVER__PING_TIMEOUT": "5s"},
}
# Only answers show what these have read.
ANSWERED = {"late-reader"}


class NoDisplay:
    """Ignores the progress of the drill."""

    def round_begins(self, row: Row, stage: Stage) -> None: ...

    def round_ends(self, row: Row) -> None: ...


def in_short(way: Way) -> Way:
    return replace(way, clients=AT_MOST.get(way.name))


@pytest.mark.slow
@pytest.mark.parametrize(
    "names", few_at_a_time(WAYS, alone=[*(OTHERWISE | SLOWER), *ANSWERED]), ids=" ".join
)
async def test_short_drill_loses_nothing_and_drops_no_client(
    names: tuple[str, ...], report: Callable[[Drill, Result], None]
) -> None:
    drill = Drill(
        StockGateway(
            BACKENDS,
            IMPATIENT | OTHERWISE.get(names[0], {}),
            Settings(replies=names[0] in ANSWERED),
        ),
        [in_short(WAYS[name]) for name in names],
        SLOWER.get(names[0], SHORT),
        NO_BOUNDS,
    )

    result = await drill.run(NoDisplay())

    report(drill, result)
    assert result.passed, {row.way.name: row.failures for row in result.rows}


@pytest.mark.slow
async def test_kind_of_a_plugin_is_played_by_the_process_it_names() -> None:
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

    result = await drill.run(NoDisplay())

    assert result.passed, [row.failures for row in result.rows]
    assert [row.verdict.sent > 0 for row in result.rows] == [True, True]
    assert [row.verdict.failovers for row in result.rows] == [0, 0]
