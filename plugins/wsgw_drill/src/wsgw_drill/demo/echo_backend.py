"""A websocket backend that answers each message with its own name, a space and the message.

usage: python -m wsgw_drill.demo.echo_backend PORT [--host HOST] [--name NAME]

Port 0: any free port. Prints `listening on 127.0.0.1:PORT` when it is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


async def run(host: str, port: int, name: str) -> None:
    """Serves until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Loops of some platforms cannot; there the default handler ends the process.
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    async def answer(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                if isinstance(message, bytes):
                    await connection.send(name.encode() + b" " + message)
                else:
                    await connection.send(f"{name} {message}")

    async with serve(answer, host, port, compression=None) as server:
        address, actual = next(iter(server.sockets)).getsockname()[:2]
        print(f"listening on {address}:{actual}", flush=True)  # noqa: T201 - for the parent process
        await stopping.wait()


def main() -> None:
    """Runs with the process's arguments."""
    parser = argparse.ArgumentParser(prog="echo_backend", description="A websocket echo backend.")
    parser.add_argument("port", type=int, help="port to listen on; 0: any free port")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--name", default="echo", help="name at the start of each answer")
    arguments = parser.parse_args()
    try:
        asyncio.run(run(arguments.host, arguments.port, arguments.name))
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        parser.exit(1, f"echo_backend: cannot listen on port {arguments.port}: {why}\n")


if __name__ == "__main__":
    main()
