"""The ways of the drill that a RabbitMQ backend can be broken in, in short."""

from __future__ import annotations

import math

import pytest
from wsgw_amqp import plugin

from wsgw_core.drill.drill import Drill
from wsgw_core.drill.load_client import Load
from wsgw_core.drill.row import Bounds, Row
from wsgw_core.drill.settings import Settings
from wsgw_core.drill.stage import Plan, Stage
from wsgw_core.drill.target import Address, StockGateway
from wsgw_core.drill.ways import WAYS

SHORT = Plan(clients=20, load=Load(rate=20, smallest=64, largest=4096), breaks=1, calm=0.3, away=1)
NO_BOUNDS = Bounds(death=math.inf, silence=math.inf)
# A node takes its time to come back.
PATIENT = {"WSGW_FAILOVER__HOLD": "120s"}


class Nobody:
    """Is told how it goes, and does not care."""

    def round_begins(self, row: Row, stage: Stage) -> None: ...

    def round_ends(self, row: Row) -> None: ...


@pytest.mark.slow
@pytest.mark.parametrize("way", plugin.PLAYED.ways)
async def test_nothing_is_lost_and_no_client_notices(way: str) -> None:
    settings = Settings(moves_told=plugin.PLAYED.moves_told)
    target = StockGateway([Address("rabbit")], PATIENT, settings, played=plugin.PLAYED)

    result = await Drill(target, [WAYS[way]], SHORT, NO_BOUNDS).run(Nobody())

    assert result.passed, [row.failures for row in result.rows]
    assert all(row.verdict.sent > 0 for row in result.rows)
