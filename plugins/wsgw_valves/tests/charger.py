"""A charger that sends values and answers calls, with the package `ocpp`."""

from __future__ import annotations

import asyncio
import contextlib
from importlib import import_module
from typing import Any

from ocpp.routing import on  # type: ignore[import-untyped]  # has no type hints
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol


class Charger:
    """Boots once, and then sends values until `stop`; each must be answered.

    Args:
        name: for the central system.
        subprotocol: `ocpp1.6` or `ocpp2.0.1`.

    Attributes:
        answered: number of answered values.
        asked: number of answered calls of the central system.
    """

    def __init__(self, name: str, subprotocol: str) -> None:
        self.name = name
        self.answered = 0
        self.asked = 0
        self._subprotocol = Subprotocol(subprotocol)
        self._is_old = subprotocol == "ocpp1.6"
        # Not above: it takes long, and each process that collects tests would do it.
        self._version: Any = import_module("ocpp.v16" if self._is_old else "ocpp.v201")
        self._stopped = False
        self._running: asyncio.Task[None]

    def start(self, url: str) -> None:
        """Connects, and sends values in the background."""
        self._running = asyncio.create_task(self._run(url))

    async def stop(self) -> None:
        """Waits for the last answer and disconnects; raises errors of the charger."""
        self._stopped = True
        await self._running

    async def progress(self) -> None:
        """Waits for three more answered values and a call; raises errors of the charger."""
        answered, asked = self.answered + 3, self.asked + 1
        while self.answered < answered or self.asked < asked:
            if self._running.done():
                self._running.result()
            await asyncio.sleep(0.01)

    async def _run(self, url: str) -> None:
        async with connect(f"{url}/{self.name}", subprotocols=[self._subprotocol]) as connection:
            point = self._point()(self.name, connection, response_timeout=30)
            listening = asyncio.create_task(_listen(point))
            await point.call(self._boot(), suppress=False)
            while not self._stopped:
                await point.call(self._value(), suppress=False)
                self.answered += 1
                await asyncio.sleep(0.05)
            assert connection.close_code is None
        await listening

    def _point(self) -> Any:
        charger, version = self, self._version

        class Point(version.ChargePoint):  # type: ignore[misc, name-defined]  # as above
            @on("ClearCache")  # type: ignore[untyped-decorator]  # as above
            def clear_cache(self) -> Any:
                charger.asked += 1
                return version.call_result.ClearCache(status="Accepted")

        return Point

    def _boot(self) -> Any:
        call = self._version.call
        if self._is_old:
            return call.BootNotification(charge_point_model="m", charge_point_vendor="v")
        station = {"model": "m", "vendor_name": "v"}
        return call.BootNotification(charging_station=station, reason="PowerUp")

    def _value(self) -> Any:
        call = self._version.call
        number: Any = str(self.answered) if self._is_old else self.answered
        sample = {"timestamp": "2025-01-01T00:00:00Z", "sampled_value": [{"value": number}]}
        if self._is_old:
            return call.MeterValues(connector_id=1, meter_value=[sample])
        return call.MeterValues(evse_id=1, meter_value=[sample])


async def _listen(point: Any) -> None:
    with contextlib.suppress(ConnectionClosed):
        await point.start()
