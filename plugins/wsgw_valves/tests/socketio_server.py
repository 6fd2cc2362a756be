"""A Socket.IO server on python-socketio and uvicorn that keeps rooms only in memory.

usage: socketio_server.py PORT FILE

In the namespaces `/` and `/admin`, `write` appends its text to the file as a line, and `blob` the
size of its bytes. `join` and `leave` are for rooms. Members of the room `lines` get the number of
lines by `written`, and are asked for the result of `asked`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import socketio  # type: ignore[import-untyped]  # has no type hints
import uvicorn

PATH = Path(sys.argv[2])
NAMESPACES = ("/", "/admin")


def append(line: str) -> None:
    file = os.open(PATH, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def count() -> int:
    return PATH.read_bytes().count(b"\n") if PATH.exists() else 0


class Served(socketio.AsyncNamespace):  # type: ignore[misc]  # as above
    async def on_connect(self, _sid: str, _environ: Any, auth: Any) -> None:
        await asyncio.sleep(0.03)
        if auth != {"token": "t"}:
            raise ConnectionRefusedError

    async def on_join(self, sid: str, room: str) -> str:
        await self.enter_room(sid, room)
        return room

    async def on_leave(self, sid: str, room: str) -> None:
        await self.leave_room(sid, room)

    async def on_write(self, _sid: str, text: str) -> str:
        append(text)
        return text

    async def on_blob(self, _sid: str, number: int, *blobs: bytes) -> list[bytes]:
        append(str(number))
        return list(blobs)


server = socketio.AsyncServer(async_mode="asgi", namespaces=list(NAMESPACES))
for namespace in NAMESPACES:
    server.register_namespace(Served(namespace))


async def tell() -> None:
    while True:
        await asyncio.sleep(0.02)
        for name in NAMESPACES:
            await server.emit("written", count(), room="lines", namespace=name)
            await server.emit("asked", 1, room="lines", namespace=name, callback=lambda *_: None)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serves, and reports to clients from the first request on."""
    if not TELLING:
        TELLING.append(asyncio.create_task(tell()))
    await SERVED(scope, receive, send)


TELLING: list[asyncio.Task[None]] = []
SERVED = socketio.ASGIApp(server)

if __name__ == "__main__":
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        ws="websockets-sansio",
        log_level="warning",
        lifespan="off",
    )
