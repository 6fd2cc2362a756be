"""The tutorial of the parking place: a central system dies, a queue takes over, and it returns."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from wsgw_core.testing.running_gateway import running_gateway

from .test_examples import EXAMPLES, PATIENCE, call, example, meter_value
from .workers import Names, Workers

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])
OCPP = Subprotocol("ocpp1.6")


class CentralSystem:
    """Answers each call with nothing, and remembers which it had.

    Attributes:
        calls: their identifiers, in order.
    """

    def __init__(self) -> None:
        self.calls: list[int] = []
        self._connections: set[ServerConnection] = set()

    @asynccontextmanager
    async def running(self, port: int) -> AsyncIterator[None]:
        """Serve; at the end it dies."""
        async with serve(self._serve, "127.0.0.1", port, subprotocols=[OCPP]) as server:
            yield
            server.close(close_connections=False)
            for connection in self._connections:
                connection.transport.abort()

    async def _serve(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        async for message in connection:
            _, identifier, *_ = json.loads(message)
            self.calls.append(int(identifier))
            await connection.send(json.dumps([3, identifier, {}]))


def as_in_the_tutorial(url: str, port: int, names: Names) -> dict[str, Any]:
    """Return the tutorial's configuration, with the addresses and names of a test."""
    data: dict[str, Any] = yaml.safe_load((EXAMPLES / "parking_place.yaml").read_text())
    csms, parked = data["upstream"]["backends"]
    csms["url"] = f"ws://127.0.0.1:{port}"
    own = {key: names.options[key] for key in ("exchange", "queue", "dead-letter-exchange")}
    parked |= {"url": url, **own}
    return data


async def until_parked(url: str, queue: str, count: int) -> None:
    """Wait until that many messages are in the queue."""
    connection = await aio_pika.connect(url)
    async with connection, asyncio.timeout(PATIENCE):
        channel = await connection.channel()
        while True:
            declared = await channel.declare_queue(queue, passive=True)
            if (declared.declaration_result.message_count or 0) >= count:
                return
            await asyncio.sleep(0.05)


async def move_back(client: ClientConnection, number: int, csms: CentralSystem) -> int:
    """Call until the central system answers, and return the number of the next call."""
    async with asyncio.timeout(PATIENCE):
        while not csms.calls:
            await call(client, number, "Heartbeat")
            number += 1
            await asyncio.sleep(0.1)
    return number


async def test_chargers_keep_their_connection_while_the_central_system_is_away(
    broker_url: str, tmp_path: Path
) -> None:
    names, file = Names(), tmp_path / "values"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before, after = CentralSystem(), CentralSystem()
    async with running_gateway(as_in_the_tutorial(broker_url, port, names)) as gateway:
        async with before.running(port):
            client = await connect(f"{gateway.url}/CP1", subprotocols=[OCPP])
            for number in (1, 2, 3):
                await call(client, number, "MeterValues", **meter_value(number))
        for number in (4, 5, 6, 7):
            await client.send(json.dumps([2, str(number), "MeterValues", meter_value(number)]))
        await until_parked(broker_url, names.queue, 5)  # the connect event is there too

        async with example("ocpp_central_system.py", broker_url, names.queue, str(file)):
            answered: list[int] = []
            async with asyncio.timeout(PATIENCE):
                while 7 not in answered:
                    answered.append(int(json.loads(await client.recv())[1]))
            async with after.running(port):
                gateway.gateway.drain("parked")
                number = await move_back(client, 8, after)
                assert await call(client, number, "MeterValues", **meter_value(number)) == {}
                still_open = client.close_code is None
        await client.close()
    parked = [int(line.split()[1]) for line in file.read_text().splitlines()]
    await Workers(broker_url, names).stop()

    assert before.calls == [1, 2, 3]
    assert still_open
    assert client.subprotocol == OCPP
    assert [number for number in dict.fromkeys(answered) if number > 3] == [4, 5, 6, 7]
    assert list(dict.fromkeys(parked))[-4:] == [4, 5, 6, 7]
    assert after.calls[-1] == number
