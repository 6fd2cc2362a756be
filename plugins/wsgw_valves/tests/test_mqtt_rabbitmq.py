"""The valve `mqtt` between paho and RabbitMQ, which keeps what its clients share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Self

import pytest
from paho.mqtt.client import MQTTv311

from wsgw_core.testing.broker_proxy import BrokerProxy

from .breaks import broken_servers
from .mqtt_client import MqttClient
from .rabbitmq import PATH, rabbitmq


class WayToServer:
    """One of several ways to a server; see `breaks.Server`. It listens however it is broken."""

    def __init__(self, port: int) -> None:
        self._proxy = BrokerProxy("127.0.0.1", port)

    async def __aenter__(self) -> Self:
        await self._proxy.start()
        self.port = self._proxy.port
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._proxy.stop()

    async def start(self) -> None:
        pass

    async def kill(self) -> None:
        await self._proxy.cut()

    def freeze(self) -> None:
        self._proxy.freeze()

    def thaw(self) -> None:
        self._proxy.thaw()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    server = rabbitmq(tmp_path_factory.mktemp("rabbitmq"))
    asyncio.run(server.start())
    yield server.port
    asyncio.run(server.kill())


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_clients_notice_nothing_when_the_way_to_their_broker_breaks(port: int) -> None:
    ways = [WayToServer(port), WayToServer(port)]
    clients = [MqttClient(MQTTv311, quality, f"client-{quality}", PATH) for quality in (0, 1)]
    async with broken_servers(ways, {"kind": "mqtt"}) as breaks:
        for client in clients:
            await client.start(breaks.url)

        async def progress() -> None:
            await asyncio.gather(*(client.progress() for client in clients))

        await breaks.all(progress, kills=3)
        await asyncio.gather(*(client.stop() for client in clients))
        assert breaks.failovers >= 4
        assert breaks.moves >= 1
    assert [client.disconnects for client in clients] == [0, 0]
