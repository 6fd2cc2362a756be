"""A backend that answers each message with its head, and writes down what it reads.

usage: recording_backend.py PORT LOG [--delay SECONDS] [--drop] [--dribble]

A message is `CLIENT NUMBER PADDING`, its answer `CLIENT NUMBER`. Every line of the log is written
by one call before anything follows from what it says, so that a SIGKILL costs none:

    TIME stack CONNECTION CLIENT NUMBER    the websocket stack has the message
    TIME read CONNECTION CLIENT NUMBER     the application has read it
    TIME close CONNECTION - 0              the stack has the close, which it answers at once
    TIME open CONNECTION - REPLAYED        a connection was made; -1: not by a failover

TIME is the machine's monotonic clock in nanoseconds, the same for all processes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterable
from typing import Any, cast

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol


class Log:
    """The file; open for appending, as several lives of a backend write to it."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, kind: str, connection: str, client: str, number: str) -> None:
        line = f"{time.monotonic_ns()} {kind} {connection} {client} {number}\n"
        os.write(self._file, line.encode())


def head_of(message: str | bytes | bytearray | memoryview) -> tuple[str, str]:
    """Return client and number."""
    text = message[:40] if isinstance(message, str) else bytes(message[:40]).decode()
    client, number, _ = text.split(" ", 2)
    return client, number


class DribblingTransport:
    """Writes three bytes at a time, each as a packet of its own."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), 3):
            self._transport.write(data[start : start + 3])

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.write(b"".join(parts))


class RecordingConnection(ServerConnection):
    """Writes down each message when the stack has it."""

    log: Log
    dribble = False

    def __init__(self, protocol: ServerProtocol, *arguments: Any, **options: Any) -> None:
        super().__init__(protocol, *arguments, **options)
        self._receive = protocol.recv_frame
        # Not `process_event`: that comes after pongs and close frames have been answered.
        protocol.recv_frame = self._record  # type: ignore[method-assign]  # see above

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        made = cast("asyncio.Transport", DribblingTransport(stream)) if self.dribble else stream
        super().connection_made(made)

    def _record(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self.log.write("stack", self.id.hex, *head_of(frame.data))
        elif frame.opcode is Opcode.CLOSE:
            self.log.write("close", self.id.hex, "-", "0")
        self._receive(frame)


async def run(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM, then close every connection with 1001."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    log = RecordingConnection.log = Log(arguments.log)
    RecordingConnection.dribble = arguments.dribble

    async def answer(connection: ServerConnection) -> None:
        name = connection.id.hex
        assert connection.request is not None
        replayed = connection.request.headers.get("X-Wsgw-Replayed", "-1")
        log.write("open", name, "-", replayed)
        try:
            async for message in connection:
                if arguments.drop:
                    connection.transport.abort()
                    return
                client, number = head_of(message)
                log.write("read", name, client, number)
                with contextlib.suppress(ConnectionClosed):  # what came before the close is read
                    await connection.send(f"{client} {number}")
                if arguments.delay:
                    await asyncio.sleep(arguments.delay)
        except ConnectionClosed:
            pass

    async with serve(
        answer,
        "127.0.0.1",
        arguments.port,
        reuse_port=True,
        compression=None,
        ping_interval=None,
        close_timeout=1,
        create_connection=RecordingConnection,
    ):
        print(f"listening on 127.0.0.1:{arguments.port}", flush=True)  # noqa: T201 - for the test
        await stopping.wait()


def main() -> None:
    """Run with the process's arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("log")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds for each message")
    parser.add_argument("--drop", action="store_true", help="break off at the first message")
    parser.add_argument("--dribble", action="store_true", help="write three bytes at a time")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
