"""Charge points and central systems of the package `ocpp`, with wsgw between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ocpp.v16 import ChargePoint, call  # type: ignore[import-untyped]  # has no type hints
from ocpp.v16.enums import RegistrationStatus  # type: ignore[import-untyped]  # has no type hints
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from .conftest import StartGateway
from .reserved_port import ReservedPort
from .server_process import ServerProcess

CHARGE_POINTS = 10
KILLS = 5


class CentralSystem(ServerProcess):
    """One that can be killed and started again."""

    def __init__(self, reserved: ReservedPort, file: Path) -> None:
        self.url = f"ws://127.0.0.1:{reserved.port}"
        super().__init__(
            "ocpp_central_system", str(reserved.port), str(file), path=Path(__file__).parent
        )


class Charger:
    """A charge point that boots once and then reports until it is stopped.

    Attributes:
        values: how many meter values were answered.
        heartbeats: how many heartbeats were answered.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.values = 0
        self.heartbeats = 0
        self._go_on = True

    def stop(self) -> None:
        self._go_on = False

    async def run(self, url: str) -> None:
        """Run until stopped; raise if a call is not answered."""
        async with connect(
            f"{url}/{self.name}", subprotocols=[Subprotocol("ocpp1.6")]
        ) as connection:
            assert connection.subprotocol == "ocpp1.6"
            charge_point = ChargePoint(self.name, connection, response_timeout=30)
            listening = asyncio.create_task(self._listen(charge_point))
            await self._report(charge_point)
            assert connection.close_code is None
            await self._leave(connection, listening)

    async def _report(self, charge_point: ChargePoint) -> None:
        boot = await charge_point.call(
            call.BootNotification(charge_point_model="wallbox", charge_point_vendor="acme"),
            suppress=False,
        )
        assert boot.status == RegistrationStatus.accepted
        while self._go_on:
            await charge_point.call(self._meter_value(), suppress=False)
            self.values += 1
            if self.values % 5 == 0:
                await charge_point.call(call.Heartbeat(), suppress=False)
                self.heartbeats += 1

    def _meter_value(self) -> call.MeterValues:
        sample = {
            "timestamp": "2025-01-01T00:00:00Z",
            "sampled_value": [{"value": str(self.values)}],
        }
        return call.MeterValues(connector_id=1, meter_value=[sample])

    async def _listen(self, charge_point: ChargePoint) -> None:
        with contextlib.suppress(ConnectionClosed):
            await charge_point.start()

    async def _leave(self, connection: ClientConnection, listening: asyncio.Task[None]) -> None:
        await connection.close()
        await listening


@pytest.fixture
async def central_systems(tmp_path: Path) -> AsyncIterator[list[CentralSystem]]:
    """Run two that write to one file."""
    with ExitStack() as running:
        systems = [
            running.enter_context(
                CentralSystem(running.enter_context(ReservedPort()), tmp_path / "values")
            )
            for _ in range(2)
        ]
        await asyncio.gather(*(system.start() for system in systems))
        yield systems


async def progress(chargers: list[Charger], running: list[asyncio.Task[None]]) -> None:
    """Wait until every charge point has had three more meter values answered."""
    marks = [charger.values + 3 for charger in chargers]
    while any(charger.values < mark for charger, mark in zip(chargers, marks, strict=True)):
        for task in running:
            if task.done():
                task.result()
        await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_charge_points_do_not_notice_killed_central_systems(
    central_systems: list[CentralSystem], start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(*(system.url for system in central_systems))
    chargers = [Charger(f"CP{number}") for number in range(CHARGE_POINTS)]
    running = [asyncio.create_task(charger.run(gateway.url)) for charger in chargers]
    await progress(chargers, running)
    for number in range(KILLS):
        victim = central_systems[number % 2]
        victim.kill()
        await progress(chargers, running)
        await victim.start()
        await progress(chargers, running)
    for charger in chargers:
        charger.stop()
    await asyncio.gather(*running)

    recorded = [line.split() for line in (tmp_path / "values").read_text().splitlines()]
    for charger in chargers:
        values = [int(value) for name, value in recorded if name == charger.name]
        first_times = list(dict.fromkeys(values))
        assert first_times == list(range(charger.values))
        assert charger.heartbeats > 0
    assert gateway.count("sessions") == CHARGE_POINTS
    assert gateway.count("failovers") >= KILLS * CHARGE_POINTS / 2
