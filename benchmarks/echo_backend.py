"""Two websocket servers in one process that echo every message.

usage: echo_backend.py

Prints their ports as a JSON list and runs until its standard input ends. Uses picows, so that it
is faster than the contender before it.
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

_SERVERS = 2
_BACKLOG = 4096


class Echo(WSListener):
    """An accepted connection."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Echoes a message; answers a close."""
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()


async def main() -> None:
    """Serves until the standard input ends."""
    servers = [
        await ws_create_server(lambda _request: Echo(), "127.0.0.1", 0, backlog=_BACKLOG)
        for _ in range(_SERVERS)
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for server in servers:
        server.close()


if __name__ == "__main__":
    uvloop.run(main())
