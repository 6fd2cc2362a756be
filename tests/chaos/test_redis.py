"""A short drill of each way with Redis: the gateway loses nothing."""

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
from wsgw_redis import plugin

from wsgw_core.api import BackendRegistry, PlayedBackend

from .few_at_a_time import few_at_a_time

SHORT = Plan(clients=8, load=Load(rate=20, smallest=64, largest=16_384), breaks=2, calm=0.3, away=1)
NO_BOUNDS = Bounds(death=math.inf, silence=math.inf)
# As many messages as from few clients; more keep two processors busy and test only their speed.
CROWDED = replace(SHORT, load=replace(SHORT.load, rate=2))
IMPATIENT = {"WSGW_FAILOVER__DIAL_TIMEOUT": "1s"}
TRIED = (
    *("away", "back-from-outage", "reset", "client-slow", "client-vanishes", "client-floods"),
    *("client-closes", "reset-in-close"),
)
IN_CROWDS = [name for name in TRIED if WAYS[name].clients is not None]


class NoDisplay:
    """Ignores the progress of the drill."""

    def round_begins(self, row: Row, stage: Stage) -> None: ...

    def round_ends(self, row: Row) -> None: ...


@pytest.fixture
def played() -> PlayedBackend:
    """Returns the plugin's played backend."""
    registry: BackendRegistry = BackendRegistry("backend")
    plugin.wsgw_register_backends(registry)
    registration = registry.find("redis")
    assert registration is not None
    assert registration.played is not None
    return registration.played


@pytest.mark.slow
@pytest.mark.parametrize("names", few_at_a_time(TRIED, alone=IN_CROWDS), ids=" ".join)
async def test_short_drill_loses_nothing_and_drops_no_client(
    names: tuple[str, ...], played: PlayedBackend, report: Callable[[Drill, Result], None]
) -> None:
    assert set(names) <= set(played.ways)
    target = StockGateway([Address("blue")], IMPATIENT, Settings(), played=played)
    plan = SHORT if WAYS[names[0]].clients is None else CROWDED
    drill = Drill(target, [WAYS[name] for name in names], plan, NO_BOUNDS)

    result = await drill.run(NoDisplay())

    report(drill, result)
    assert result.passed, {row.way.name: row.failures for row in result.rows}
    assert all(row.verdict.sent > 0 for row in result.rows)
