"""A central system for OCPP 1.6 and 2.0.1 that keeps nothing in memory.

usage: ocpp_central_system.py PORT FILE [DELAY]

Appends a line `CHARGER VALUE` to the file for each meter value, and answers it after DELAY seconds.
It also calls each charger from time to time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from datetime import UTC, datetime
from typing import Any

from ocpp import v16, v201  # type: ignore[import-untyped]  # has no type hints
from ocpp.routing import on  # type: ignore[import-untyped]  # has no type hints
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

VERSIONS = {"ocpp1.6": v16, "ocpp2.0.1": v201}


class CentralSystem:
    """Answers chargers.

    Args:
        file: to append lines to.
        delay: seconds before the answer to a meter value.
    """

    def __init__(self, file: int, delay: float) -> None:
        self._file = file
        self._delay = delay

    async def serve(self, connection: ServerConnection) -> None:
        """Serves one charger until its connection ends."""
        assert connection.request is not None
        assert connection.subprotocol is not None
        name, version = connection.request.path.strip("/"), VERSIONS[connection.subprotocol]
        served = self._served(version)(name, connection)
        asking = asyncio.create_task(self._ask(served, version))
        with contextlib.suppress(ConnectionClosed):
            await served.start()
        asking.cancel()

    async def _ask(self, served: Any, version: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await served.call(version.call.ClearCache(), suppress=False)
                await asyncio.sleep(0.1)

    def _served(self, version: Any) -> Any:
        system = self

        class Served(version.ChargePoint):  # type: ignore[misc]  # as above
            @on("BootNotification")  # type: ignore[untyped-decorator]  # as above
            def boot(self, **_: Any) -> Any:
                return version.call_result.BootNotification(
                    current_time=datetime.now(UTC).isoformat(), interval=1, status="Accepted"
                )

            @on("MeterValues")  # type: ignore[untyped-decorator]  # as above
            async def meter_values(self, meter_value: list[dict[str, Any]], **_: Any) -> Any:
                value = meter_value[0]["sampled_value"][0]["value"]
                os.write(system._file, f"{self.id} {value}\n".encode())
                await asyncio.sleep(system._delay)
                return version.call_result.MeterValues()

        return Served


async def main() -> None:
    """Serves until the process ends."""
    port, path, delay = int(sys.argv[1]), sys.argv[2], float((*sys.argv, "0")[3])
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    subprotocols = [Subprotocol(each) for each in VERSIONS]
    system = CentralSystem(file, delay)
    async with serve(system.serve, "127.0.0.1", port, subprotocols=subprotocols) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
