"""The programs in `examples/`, as processes, behind a gateway."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .redis_server import TIMEOUT, RedisServer

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

EXAMPLES = Path(__file__).parent.parent / "examples"
ODD: tuple[str | bytes, ...] = (
    b"\xff\xfe",
    "",
    "null",
    "NaN",
    "[" * 100_000,
    "1" * 5_000,
    '[2, "1"]',
    '[2, "1", ["Heartbeat"], {}]',
    '[2, "1", {}, {}]',
    '[2, "1", "Heartbeat", {"a": ' + "1" * 5_000 + "}]",
    '[3, {"a": NaN}, {}]',
)
"""Messages that are not OCPP, each in its own way."""


@asynccontextmanager
async def example(name: str, redis: RedisServer) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name), redis.url, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT):
            assert b"reads wsgw:events" in await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def gateway_to(redis: RedisServer, **keys: Any) -> AsyncIterator[RunningGateway]:
    backend = {"id": "queue", "url": redis.url, **keys}
    async with running_gateway({"upstream": {"backends": [backend]}}) as gateway:
        yield gateway


async def test_echo_worker_answers_text_and_binary(redis: RedisServer) -> None:
    async with (
        example("echo_worker.py", redis),
        gateway_to(redis) as gateway,
        connect(gateway.url) as client,
        asyncio.timeout(TIMEOUT),
    ):
        for message in ("grüße", b"\x00\xff"):
            await client.send(message)
            assert await client.recv() == message


async def test_worker_by_redis_cli_answers(redis: RedisServer) -> None:
    async def cli(*command: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *("redis-cli", "-p", str(redis.port), *command), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        return output.decode()

    async with (
        gateway_to(redis) as gateway,
        connect(gateway.url) as client,
        asyncio.timeout(TIMEOUT),
    ):
        assert "OK" in await cli(*["XGROUP", "CREATE", "wsgw:events", "workers", "0", "MKSTREAM"])
        await client.send("hi")
        read = "XREADGROUP GROUP workers me COUNT 10 BLOCK 5000 STREAMS wsgw:events >"
        lines = [line.strip() for line in (await cli(*read.split())).splitlines()]
        entry_id = lines[1]
        fields = dict(zip(lines[2::2], lines[3::2], strict=True))
        assert fields["data"] == "hi"
        reply = ("XADD", fields["reply"], "NOMKSTREAM", "*", "session", fields["session"])
        await cli(*reply, "data", "hello")
        assert await client.recv() == "hello"
        assert "1" in await cli("XACK", "wsgw:events", "workers", entry_id)
        assert "1" in await cli("XDEL", "wsgw:events", entry_id)
        await cli(*reply, "close", "4001", "reason", "bye")
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (4001, "bye")


async def test_chat_room_reaches_only_clients_of_the_room(redis: RedisServer) -> None:
    keys = {"events": ["connect", "message", "disconnect"], "subscribe": ["room:{path.1}"]}
    async with (
        example("chat_room.py", redis),
        gateway_to(redis, **keys) as gateway,
        gateway_to(redis, **keys) as another,
        connect(f"{gateway.url}/a") as ann,
        asyncio.timeout(TIMEOUT),
    ):
        assert json.loads(await ann.recv())["says"] == "is here"
        async with connect(f"{another.url}/a") as ben, connect(f"{gateway.url}/b") as eve:
            assert json.loads(await ann.recv())["says"] == "is here"
            assert json.loads(await ben.recv())["says"] == "is here"
            await ann.send("hello")
            heard = [json.loads(await each.recv()) for each in (ann, ben)]
            assert heard[0] == heard[1]
            assert heard[0]["says"] == "hello"
            assert json.loads(await eve.recv())["says"] == "is here"
        assert json.loads(await ann.recv())["says"] == "has left"


async def test_killed_ocpp_central_system_loses_no_meter_value(
    redis: RedisServer,
) -> None:
    async def call(client: Any, number: int, action: str, payload: dict[str, Any]) -> Any:
        await client.send(json.dumps([2, str(number), action, payload]))
        kind, unique_id, answer = json.loads(await client.recv())
        assert (kind, unique_id) == (3, str(number))
        return answer

    async def report(client: Any, number: int) -> None:
        sampled = {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": str(number)}]}
        await call(client, number, "MeterValues", {"connectorId": 1, "meterValue": [sampled]})

    async with gateway_to(redis, subprotocols=["ocpp1.6"]) as gateway:
        async with (
            connect(f"{gateway.url}/ocpp/CP-1", subprotocols=["ocpp1.6"]) as client,  # type: ignore[list-item]  # any string
            asyncio.timeout(TIMEOUT),
        ):
            assert client.subprotocol == "ocpp1.6"
            async with example("ocpp_central_system.py", redis) as process:
                boot = {"chargePointVendor": "v", "chargePointModel": "m"}
                assert (await call(client, 0, "BootNotification", boot))["status"] == "Accepted"
                for number in range(1, 6):
                    await report(client, number)
                process.kill()
                await process.wait()
            asked = asyncio.create_task(report(client, 6))
            async with example("ocpp_central_system.py", redis):
                await asked
        assert await redis.client.lrange("meter:CP-1", 0, -1) == [
            b"1",
            b"2",
            b"3",
            b"4",
            b"5",
            b"6",
        ]


async def test_ocpp_central_system_survives_invalid_messages(redis: RedisServer) -> None:
    async with (
        gateway_to(redis, subprotocols=["ocpp1.6"]) as gateway,
        example("ocpp_central_system.py", redis),
        connect(f"{gateway.url}/ocpp/CP-1", subprotocols=["ocpp1.6"]) as client,  # type: ignore[list-item]  # any string
        asyncio.timeout(TIMEOUT),
    ):
        for message in ODD:
            await client.send(message)
            await client.send('[2, "1", "Heartbeat", {}]')
            assert "currentTime" in json.loads(await client.recv())[2]
