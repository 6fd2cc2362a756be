"""A server that keeps documents of Yjs in memory.

usage: yjs_server.py PORT
"""

from __future__ import annotations

import asyncio
import sys

from pycrdt.websocket import WebsocketServer
from websockets.asyncio.server import ServerConnection, serve
from yjs_channel import WebsocketChannel  # type: ignore[import-not-found]  # beside it


async def main() -> None:
    """Serves until the process ends."""
    opening = asyncio.Lock()
    async with WebsocketServer(auto_clean_rooms=False) as documents:

        async def serve_client(connection: ServerConnection) -> None:
            assert connection.request is not None
            path = connection.request.path
            async with opening:  # pycrdt serves only one of two simultaneous clients
                await documents.get_room(path)
            await documents.serve(WebsocketChannel(connection, path))

        async with serve(serve_client, "127.0.0.1", int(sys.argv[1])) as server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
