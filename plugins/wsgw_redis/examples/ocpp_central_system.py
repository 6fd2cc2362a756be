"""A central system for OCPP 1.6. You can restart it, and run several, at any time.

usage: ocpp_central_system.py [URL]

It needs the package `ocpp`. The last part of a charge point's path is its name. Configure the
backend:

    url: redis://127.0.0.1:6379
    subprotocols: [ocpp1.6]

It keeps meter values in the list `meter:NAME`, in the order in which the charge point sent them.
It drops messages that are not OCPP.
"""

from __future__ import annotations

import asyncio
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
from redis.asyncio import Redis
from wsgw_redis.worker import Event, consume


def now() -> str:
    """Returns the time in OCPP's format."""
    return datetime.now(UTC).isoformat()


class Answers:
    """A stand-in for the websocket of the package `ocpp`: sends the answer to one event."""

    def __init__(self, event: Event) -> None:
        self._event = event

    async def send(self, text: str) -> None:
        """Sends the answer."""
        await self._event.reply(text)


class ServedChargePoint(ChargePoint):  # type: ignore[misc]  # the package has no type hints
    """Handles the messages of one charge point."""

    def __init__(self, event: Event, redis: Redis) -> None:
        super().__init__(event.path.rsplit("/", 1)[-1], Answers(event))
        self._redis: Any = redis

    @on(Action.boot_notification)  # type: ignore[untyped-decorator]  # as above
    def boot(self, **_details: Any) -> Any:
        """Accepts the charge point."""
        return call_result.BootNotification(
            current_time=now(), interval=300, status=RegistrationStatus.accepted
        )

    @on(Action.heartbeat)  # type: ignore[untyped-decorator]  # as above
    def heartbeat(self) -> Any:
        """Returns the time."""
        return call_result.Heartbeat(current_time=now())

    @on(Action.meter_values)  # type: ignore[untyped-decorator]  # as above
    async def meter_values(self, meter_value: list[dict[str, Any]], **_rest: Any) -> Any:
        """Stores the value."""
        value = meter_value[0]["sampled_value"][0]["value"]
        await self._redis.rpush(f"meter:{self.id}", value)
        return call_result.MeterValues()


async def serve(event: Event, redis: Redis) -> None:
    """Answers a message, or drops it if it is not OCPP."""
    try:
        await ServedChargePoint(event, redis).route_message(event.text)
    except (RecursionError, TypeError, ValueError) as error:
        print(f"dropped a message: {type(error).__name__}", file=sys.stderr)


async def main(url: str) -> None:
    """Handles events until the process ends."""
    redis = Redis.from_url(url)
    name = f"ocpp-{os.getpid()}"
    print(f"{name} reads wsgw:events", flush=True)
    async for event in consume(redis, "wsgw:events", group="ocpp", consumer=name):
        if event.type == "message" and not event.seen:
            await serve(event, redis)
        await event.ack(delete=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379"))
