"""A short drill of each way to break a RabbitMQ backend."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from wsgw_amqp import plugin
from wsgw_drill.drill import Drill
from wsgw_drill.load_client import Load
from wsgw_drill.row import Bounds, Row
from wsgw_drill.settings import Settings
from wsgw_drill.stage import Plan, Stage
from wsgw_drill.target import Address, StockGateway
from wsgw_drill.ways import WAYS

# A node takes seconds to start, and clients send meanwhile.
SHORT = Plan(clients=8, load=Load(rate=10, smallest=64, largest=4096), breaks=1, calm=0.3, away=1)
NO_BOUNDS = Bounds(death=math.inf, silence=math.inf)


class NoDisplay:
    """Ignores the progress of the drill."""

    def round_begins(self, row: Row, stage: Stage) -> None: ...

    def round_ends(self, row: Row) -> None: ...


@pytest.mark.slow
@pytest.mark.parametrize("way", plugin.PLAYED.ways)
async def test_short_drill_loses_nothing_and_drops_no_client(way: str) -> None:
    settings = Settings(moves_told=plugin.PLAYED.moves_told, ahead=plugin.PLAYED.ahead)
    target = StockGateway([Address("rabbit")], settings=settings, played=plugin.PLAYED)

    result = await Drill(target, [replace(WAYS[way], clients=None)], SHORT, NO_BOUNDS).run(
        NoDisplay()
    )

    assert result.passed, [row.failures for row in result.rows]
    assert all(row.verdict.sent > 0 for row in result.rows)
