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
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .workers import Names, Workers

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

EXAMPLES = Path(__file__).parent.parent / "examples"
TIMEOUT = 60.0
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
async def example(name: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name), *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT):
            assert (await process.stdout.readline()).startswith(b"reads ")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def gateway_to(url: str, names: Names, **keys: Any) -> AsyncIterator[RunningGateway]:
    options = {name.replace("_", "-"): value for name, value in keys.items()}
    backend = {"id": "queue", "url": url, **names.options, **options}
    async with running_gateway({"upstream": {"backends": [backend]}}) as gateway:
        yield gateway
    await Workers(url, names).stop()


async def call(client: ClientConnection, number: int, action: str, **payload: Any) -> Any:
    """Returns the answer to a call; skips second answers to earlier calls."""
    await client.send(json.dumps([2, str(number), action, payload]))
    answered = -1
    async with asyncio.timeout(TIMEOUT):
        while answered < number:
            kind, identifier, content = json.loads(await client.recv())
            answered = int(identifier)
    assert (kind, answered) == (3, number)
    return content


def meter_value(value: object) -> dict[str, Any]:
    sample = {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": str(value)}]}
    return {"connectorId": 1, "meterValue": [sample]}


async def test_echo_worker_answers_text_and_binary(broker_url: str) -> None:
    names = Names()
    async with (
        gateway_to(broker_url, names, events=["connect", "message", "disconnect"]) as gateway,
        example("echo_worker.py", broker_url, names.queue),
        connect(gateway.url) as client,
        asyncio.timeout(TIMEOUT),
    ):
        for message in ("grüße", b"\x00\xff"):
            await client.send(message)
            assert await client.recv() == message


async def test_second_central_system_takes_over_in_order(broker_url: str, tmp_path: Path) -> None:
    names, file = Names(), tmp_path / "values"
    keys = {"queue_arguments": {"x-single-active-consumer": True}, "subprotocols": ["ocpp1.6"]}
    arguments = ("ocpp_central_system.py", broker_url, names.queue, str(file))
    async with (
        gateway_to(broker_url, names, **keys) as gateway,
        example(*arguments) as leader,
        example(*arguments),
        connect(f"{gateway.url}/CP1", subprotocols=[Subprotocol("ocpp1.6")]) as client,
    ):
        assert client.subprotocol == "ocpp1.6"
        booted = await call(
            client, 0, "BootNotification", chargePointVendor="v", chargePointModel="m"
        )
        assert booted["status"] == "Accepted"
        for number in range(1, 21):
            if number == 10:
                leader.kill()
            await call(client, number, "MeterValues", **meter_value(number))

    lines = file.read_text().splitlines()
    assert list(dict.fromkeys(lines)) == [f"CP1 {number}" for number in range(1, 21)]
    assert len(lines) <= 21  # the leader may have died between its work and the acknowledgement


async def test_central_system_survives_invalid_messages(broker_url: str, tmp_path: Path) -> None:
    names, file = Names(), tmp_path / "values"
    async with (
        gateway_to(broker_url, names, subprotocols=["ocpp1.6"]) as gateway,
        example("ocpp_central_system.py", broker_url, names.queue, str(file)),
        connect(f"{gateway.url}/CP1", subprotocols=[Subprotocol("ocpp1.6")]) as client,
    ):
        for number, message in enumerate(ODD):
            await client.send(message)
            assert "currentTime" in await call(client, number, "Heartbeat")


async def test_invalid_meter_value_is_answered_with_error(broker_url: str, tmp_path: Path) -> None:
    names, file = Names(), tmp_path / "values"
    async with (
        gateway_to(broker_url, names, subprotocols=["ocpp1.6"]) as gateway,
        example("ocpp_central_system.py", broker_url, names.queue, str(file)),
        connect(f"{gateway.url}/CP1", subprotocols=[Subprotocol("ocpp1.6")]) as client,
        asyncio.timeout(TIMEOUT),
    ):
        for value in ("1\nCP2 9", "\ud800", ""):
            await client.send(json.dumps([2, "1", "MeterValues", meter_value(value)]))
            assert json.loads(await client.recv())[0] == 4
        await call(client, 2, "MeterValues", **meter_value(5))

    assert file.read_text() == "CP1 5\n"
