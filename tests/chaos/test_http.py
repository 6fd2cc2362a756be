"""A short drill of each way with web applications: the gateway loses nothing."""

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
from wsgw_drill.ways import WAYS
from wsgw_http import plugin

from wsgw_core.api import BackendRegistry, PlayedBackend

from .few_at_a_time import few_at_a_time

SHORT = Plan(clients=8, load=Load(rate=10, smallest=64, largest=16_384), breaks=2, calm=0.3, away=1)
CROWD = 40
# As many messages as from few clients; more keep two processors busy and test only their speed.
CROWDED = replace(SHORT, load=replace(SHORT.load, rate=2))
NO_BOUNDS = Bounds(death=math.inf, silence=math.inf)
BACKENDS = [Address("blue"), Address("green")]
IMPATIENT = {"WSGW_FAILOVER__DIAL_TIMEOUT": "1s"}
# How often a message meets a backend that drops it depends on how soon the other one returns.
UNSUSPECTING = {"drop": {"WSGW_FAILOVER__MAX_REPLAYS": "1000"}}
TRIED = (
    "kill",
    "away",
    "back-from-outage",
    "poison",
    "freeze",
    "blackhole",
    "reset",
    "slow-backend",
    "drop",
    "client-slow",
    "client-closes",
    "reset-in-close",
)
IN_CROWDS = [name for name in TRIED if WAYS[name].clients is not None]


class NoDisplay:
    """Ignores the progress of the drill."""

    def round_begins(self, row: Row, stage: Stage) -> None: ...

    def round_ends(self, row: Row) -> None: ...


@pytest.fixture
def played() -> PlayedBackend:
    """Returns the plugin's played backend, with timeouts as short as the gateway's."""
    registry: BackendRegistry = BackendRegistry("backend")
    plugin.wsgw_register_backends(registry)
    registration = registry.find("http")
    assert registration is not None
    assert registration.played is not None
    return replace(registration.played, keys={**registration.played.keys, "request-timeout": "1s"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "names", few_at_a_time(TRIED, alone=[*UNSUSPECTING, *IN_CROWDS]), ids=" ".join
)
async def test_short_drill_loses_nothing_and_drops_no_client(
    names: tuple[str, ...], played: PlayedBackend, report: Callable[[Drill, Result], None]
) -> None:
    assert set(names) <= set(played.ways)
    target = StockGateway(
        BACKENDS, IMPATIENT | UNSUSPECTING.get(names[0], {}), Settings(), played=played
    )
    ways = [replace(WAYS[name], clients=WAYS[name].clients and CROWD) for name in names]
    drill = Drill(target, ways, CROWDED if names[0] in IN_CROWDS else SHORT, NO_BOUNDS)

    result = await drill.run(NoDisplay())

    report(drill, result)
    assert result.passed, {row.way.name: row.failures for row in result.rows}
    assert all(row.verdict.sent > 0 for row in result.rows)
