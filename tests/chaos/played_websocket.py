"""A backend of a kind that is not built in: websockets again, with the recorder's log.

usage: python -m tests.chaos.played_websocket PLACE HOST PORT LOG
"""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, serve

from wsgw_core.testing.recorder import Recorder


async def main(place: str, host: str, port: str, log: str) -> None:
    """Serves until killed."""
    recorder = Recorder(place, log)

    async def answer(connection: ServerConnection) -> None:
        async for message in connection:
            text = recorder.read(connection.id.hex, message, again=True)
            await connection.send(text or "not of the drill")

    options = {"reuse_port": True, "max_size": None}
    async with serve(answer, host, int(port), **options) as server:  # type: ignore[arg-type]  # any
        where = server.sockets[0].getsockname()
        print(f"listening on {where[0]}:{where[1]}", flush=True)  # noqa: T201 - for the drill
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
