"""The tutorial: a central system dies, a queue takes over, and the system returns."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from wsgw_core.testing.running_gateway import running_gateway

from .test_examples import EXAMPLES, TIMEOUT, call, example, meter_value
from .test_journeys import count_of, until
from .workers import Names, Workers

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])
OCPP = Subprotocol("ocpp1.6")


class CentralSystem:
    """Answers each call with an empty result, and records the calls.

    Attributes:
        calls: their identifiers, in order.
    """

    def __init__(self) -> None:
        self.calls: list[int] = []
        self._connections: set[ServerConnection] = set()

    @asynccontextmanager
    async def running(self, port: int) -> AsyncIterator[None]:
        """Serves for the duration of the block; then it dies."""
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
    """Returns the tutorial's configuration, with the addresses and names of a test."""
    data: dict[str, Any] = yaml.safe_load((EXAMPLES / "parking_place.yaml").read_text())
    csms, parked = data["upstream"]["backends"]
    csms["url"] = f"ws://127.0.0.1:{port}"
    own = {key: names.options[key] for key in ("exchange", "queue", "dead-letter-exchange")}
    parked |= {"url": url, **own}
    return data


async def until_parked(url: str, queue: str, count: int) -> None:
    """Waits until that many messages are in the queue."""
    connection = await aio_pika.connect(url)
    async with connection, asyncio.timeout(TIMEOUT):
        channel = await connection.channel()
        while True:
            declared = await channel.declare_queue(queue, passive=True)
            if (declared.declaration_result.message_count or 0) >= count:
                return
            await asyncio.sleep(0.05)


async def move_back(client: ClientConnection, number: int, csms: CentralSystem) -> int:
    """Sends calls until the central system answers; returns the number of the next call."""
    async with asyncio.timeout(TIMEOUT):
        while not csms.calls:
            await call(client, number, "Heartbeat")
            number += 1
            await asyncio.sleep(0.1)
    return number


@pytest.mark.slow
async def test_chargers_stay_connected_during_outage_of_central_system(
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
        await until_parked(broker_url, names.queue, 5)  # including the connect event

        async with example("ocpp_central_system.py", broker_url, names.queue, str(file)):
            answered: list[int] = []
            async with asyncio.timeout(TIMEOUT):
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


class Charger:
    """Sends calls with unique identifiers, and records the answers.

    Args:
        client: its connection.
        number: of the charger.
    """

    def __init__(self, client: ClientConnection, number: int) -> None:
        self.client = client
        self.sent = 0
        self.answered: list[int] = []
        self._first = number * 1000
        self._listening = asyncio.create_task(self._listen())

    @property
    def calls(self) -> list[int]:
        """The identifiers of all calls so far."""
        return [self._first + number for number in range(1, self.sent + 1)]

    async def call(self) -> None:
        """Sends the next call."""
        self.sent += 1
        await self.client.send(json.dumps([2, str(self._first + self.sent), "Heartbeat", {}]))

    async def until_answered(self) -> None:
        """Waits until all calls are answered."""
        await until(lambda: set(self.calls) <= set(self.answered))

    async def close(self) -> None:
        """Closes the connection."""
        await self.client.close()
        await self._listening

    async def _listen(self) -> None:
        async for message in self.client:
            self.answered.append(int(json.loads(message)[1]))


def parked_answer(call: bytes) -> bytes:
    return json.dumps([3, json.loads(call)[1], {}]).encode()


async def test_chargers_return_and_their_numbers_continue(broker_url: str) -> None:
    names = Names()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before, after = CentralSystem(), CentralSystem()
    data = as_in_the_tutorial(broker_url, port, names)
    data["upstream"] |= {"failback": True, "failback-after": "1s"}
    data["upstream"]["backends"][0]["replay-window"] = 0
    data["drain"] = {"quiet": "50ms"}
    workers = Workers(broker_url, names, parked_answer)
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(running_gateway(data))
        async with before.running(port):
            chargers = [
                Charger(await connect(f"{gateway.url}/CP{n}", subprotocols=[OCPP]), n)
                for n in range(5)
            ]
            for _ in range(3):
                await asyncio.gather(*(charger.call() for charger in chargers))
                await asyncio.gather(*(charger.until_answered() for charger in chargers))
            await until(lambda: not any(s.unacknowledged for s in gateway.gateway.sessions))
        for _ in range(3):
            await asyncio.gather(*(charger.call() for charger in chargers))
        await until_parked(broker_url, names.queue, 5 * (1 + 3))  # one connect event each
        workers.start()
        await asyncio.gather(*(charger.until_answered() for charger in chargers))
        async with after.running(port):
            while any(session.backend_id != "csms" for session in gateway.gateway.sessions):
                await asyncio.gather(*(charger.call() for charger in chargers))
                await asyncio.gather(*(charger.until_answered() for charger in chargers))
                await asyncio.sleep(0.2)
            await asyncio.gather(*(charger.call() for charger in chargers))
            await asyncio.gather(*(charger.until_answered() for charger in chargers))
            for session_id in list(workers.messages):
                await workers.reply(session_id, b'[3, "0", {}]', content_type="application/json")
            await until(lambda: all(0 in charger.answered for charger in chargers))

            assert gateway.count("failbacks") == gateway.count("moves") == len(chargers)
            assert gateway.count("undelivered_messages") == 0
            assert all(charger.client.close_code is None for charger in chargers)
            assert {charger.client.subprotocol for charger in chargers} == {OCPP}
            assert await count_of(broker_url, names.queue) == 0
            await asyncio.gather(*(charger.close() for charger in chargers))
            # Otherwise the last calls would still be unacknowledged.
            await until(lambda: not [*gateway.gateway.sessions])
    await workers.stop()

    for charger in chargers:
        (parked,) = (
            [(each.headers["wsgw-number"], int(json.loads(each.body)[1])) for each in messages]
            for messages in workers.messages.values()
            if int(json.loads(messages[0].body)[1]) in charger.calls
        )
        mine = [call for call in before.calls + after.calls if call in charger.calls]
        numbers = [number for number, _ in parked]
        assert numbers == [*range(4, 4 + len(parked))]
        assert [call for _, call in parked] == charger.calls[3 : 3 + len(parked)]
        assert mine == charger.calls[:3] + charger.calls[3 + len(parked) :]
