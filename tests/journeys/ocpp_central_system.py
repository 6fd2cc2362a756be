"""A central system for OCPP 1.6 that keeps nothing in memory.

usage: ocpp_central_system.py PORT FILE

Appends a line `CHARGE_POINT VALUE` to the file for each meter value before it is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from datetime import UTC, datetime
from typing import Any

from ocpp.routing import on  # type: ignore[import-untyped]  # has no type hints
from ocpp.v16 import ChargePoint, call_result  # type: ignore[import-untyped]  # has no type hints
from ocpp.v16.enums import (  # type: ignore[import-untyped]  # has no type hints
    Action,
    RegistrationStatus,
)
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol


def now() -> str:
    return datetime.now(UTC).isoformat()


class ServedChargePoint(ChargePoint):  # type: ignore[misc]  # the package has no type hints
    """Answers one charge point."""

    file: int

    @on(Action.boot_notification)  # type: ignore[untyped-decorator]  # as above
    def boot(self, **_details: Any) -> call_result.BootNotification:
        return call_result.BootNotification(
            current_time=now(), interval=1, status=RegistrationStatus.accepted
        )

    @on(Action.heartbeat)  # type: ignore[untyped-decorator]  # as above
    def heartbeat(self) -> call_result.Heartbeat:
        return call_result.Heartbeat(current_time=now())

    @on(Action.meter_values)  # type: ignore[untyped-decorator]  # as above
    def meter_values(self, meter_value: list[dict[str, Any]], **_rest: Any) -> Any:
        value = meter_value[0]["sampled_value"][0]["value"]
        os.write(self.file, f"{self.id} {value}\n".encode())
        return call_result.MeterValues()


async def serve_charge_point(connection: ServerConnection) -> None:
    """Serve until the connection ends."""
    assert connection.request is not None
    name = connection.request.path.strip("/")
    with contextlib.suppress(ConnectionClosed):
        await ServedChargePoint(name, connection).start()


async def main() -> None:
    """Run with the process's arguments until it is killed."""
    port, path = int(sys.argv[1]), sys.argv[2]
    ServedChargePoint.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    async with serve(
        serve_charge_point,
        "127.0.0.1",
        port,
        reuse_port=True,
        subprotocols=[Subprotocol("ocpp1.6")],
    ) as server:
        print(f"listening on 127.0.0.1:{port}", flush=True)  # noqa: T201 - for the test
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
