"""A server for Action Cable's protocol that keeps only subscriptions in memory.

usage: actioncable_server.py PORT FILE

`{"action": "write", "text": ...}` appends the text to the file as a line. Subscribers get the
number of different lines. The server rejects the channel `Secret`. The command `restart` makes all
clients reconnect.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PATH = Path(sys.argv[2])
SERVED: set[Served] = set()


class Served:
    """One client."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._identifiers: set[str] = set()
        self._told = 0

    async def serve(self) -> None:
        """Serves the client until it leaves."""
        SERVED.add(self)
        with contextlib.suppress(ConnectionClosed):
            await asyncio.sleep(0.03)  # as if it authenticated the client
            await self._send(type="welcome")
            beating = asyncio.create_task(self._beat())
            telling = asyncio.create_task(self._tell())
            async for message in self._connection:
                await self._hear(json.loads(message))
            beating.cancel()
            telling.cancel()
        SERVED.discard(self)

    async def restart(self) -> None:
        """Makes the client reconnect, like Rails."""
        with contextlib.suppress(ConnectionClosed):
            await self._send(type="disconnect", reason="server_restart", reconnect=True)
            await self._connection.close()

    async def _hear(self, message: dict[str, Any]) -> None:
        identifier = message["identifier"]
        match message["command"]:
            case "restart":
                await asyncio.gather(*(each.restart() for each in SERVED))
            case "subscribe" if json.loads(identifier)["channel"] == "Secret":
                await self._send(identifier=identifier, type="reject_subscription")
            case "subscribe" if identifier not in self._identifiers:
                await asyncio.sleep(0.01)
                self._identifiers.add(identifier)
                self._told = 0
                await self._send(identifier=identifier, type="confirm_subscription")
            case "unsubscribe":
                self._identifiers.discard(identifier)
            case "message" if identifier in self._identifiers:
                append(json.loads(message["data"])["text"])

    async def _beat(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(3)
                await self._send(type="ping", message=int(time.time()))

    async def _tell(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(0.02)
                if (lines := count()) == self._told:
                    continue
                for identifier in self._identifiers:
                    self._told = lines
                    await self._send(identifier=identifier, message=lines)

    async def _send(self, **message: Any) -> None:
        await self._connection.send(json.dumps(message))


def append(line: str) -> None:
    file = os.open(PATH, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def count() -> int:
    return len(set(PATH.read_bytes().split())) if PATH.exists() else 0


async def main() -> None:
    """Serves until the process ends."""
    async with serve(
        lambda connection: Served(connection).serve(),
        "127.0.0.1",
        int(sys.argv[1]),
        subprotocols=[Subprotocol("actioncable-v1-json")],
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
