"""A short drill of each way to break a RabbitMQ backend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
from wsgw_amqp import plugin
from wsgw_amqp.broker_node import BrokerNode
from wsgw_drill.drill import Drill
from wsgw_drill.load_client import Load
from wsgw_drill.row import Bounds, Row
from wsgw_drill.settings import Settings
from wsgw_drill.stage import Plan, Stage
from wsgw_drill.target import Address, StockGateway
from wsgw_drill.ways import WAYS

from wsgw_core.api import PlayedBackend

from .few_at_a_time import few_at_a_time
from .played_rabbitmq import NODE_PORT

# A node takes seconds to start, and clients send meanwhile.
SHORT = Plan(clients=8, load=Load(rate=10, smallest=64, largest=4096), breaks=1, calm=0.3, away=1)
NO_BOUNDS = Bounds(death=math.inf, silence=math.inf)
KILLED = ("away", "back-from-outage")
SPARED = [name for name in plugin.PLAYED.ways if name not in KILLED]


class NoDisplay:
    """Ignores the progress of the drill."""

    def round_begins(self, row: Row, stage: Stage) -> None: ...

    def round_ends(self, row: Row) -> None: ...


async def check(names: tuple[str, ...], played: PlayedBackend) -> None:
    """Runs a drill with one gateway, and asserts that it passes."""
    settings = Settings(moves_told=played.moves_told, ahead=played.ahead)
    target = StockGateway([Address("rabbit")], settings=settings, played=played)
    ways = [replace(WAYS[name], clients=None) for name in names]

    result = await Drill(target, ways, SHORT, NO_BOUNDS).run(NoDisplay())

    assert result.passed, {row.way.name: row.failures for row in result.rows}
    assert all(row.verdict.sent > 0 for row in result.rows)


@pytest.fixture
def node_of_many_ways(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Runs a node for several ways that do not kill it."""
    node = BrokerNode(tmp_path_factory.mktemp("rabbitmq"))
    node.start()
    monkeypatch.setenv(NODE_PORT, str(node.port))
    yield
    node.kill()


@pytest.mark.slow
@pytest.mark.parametrize("way", KILLED)
async def test_short_drill_that_kills_the_node_loses_nothing_and_drops_no_client(way: str) -> None:
    await check((way,), plugin.PLAYED)


@pytest.mark.slow
@pytest.mark.parametrize("names", few_at_a_time(SPARED), ids=" ".join)
@pytest.mark.usefixtures("node_of_many_ways")
async def test_short_drill_loses_nothing_and_drops_no_client(names: tuple[str, ...]) -> None:
    await check(names, replace(plugin.PLAYED, module="tests.chaos.played_rabbitmq"))
