"""A backend that answers each message with its head, and records what it reads.

usage: python -m wsgw_drill.recording_backend PLACE HOST PORT LOG [OPTION ...]

A message is one of `numbered_message`, and its answer is `CLIENT NUMBER PLACE CONNECTION`. LOG has
the format of `recording_log`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, cast

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from wsgw_core.file_limit import raise_file_limit
from wsgw_core.testing.numbered_message import PUSHED, head_of, is_whole
from wsgw_core.testing.recording_log import Log

from .event_loop import new_event_loop

_CLOSE_TIMEOUT = 1.0
_MAX_QUEUE = 16  # messages that wait for the application; the default of websockets


class DribblingTransport:
    """Writes three bytes at a time, each in its own packet."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """See asyncio.WriteTransport."""
        for start in range(0, len(data), 3):
            self._transport.write(data[start : start + 3])

    def writelines(self, parts: Iterable[bytes]) -> None:
        """See asyncio.WriteTransport."""
        self.write(b"".join(parts))


class RecordingConnection(ServerConnection):
    """Records each message when the stack has it."""

    log: Log
    dribble = False
    mute = False
    set_at_a_close: ClassVar[asyncio.Event | None] = None

    def __init__(self, protocol: ServerProtocol, *arguments: Any, **options: Any) -> None:
        super().__init__(protocol, *arguments, **options)
        self.name = f"{os.getpid()}-{self.id.hex}"
        self._receive = protocol.recv_frame
        # Not `process_event`, which comes after the answers to pings and close frames.
        protocol.recv_frame = self._record  # type: ignore[method-assign]  # see above

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        stream = cast("asyncio.Transport", transport)
        made = cast("asyncio.Transport", DribblingTransport(stream)) if self.dribble else stream
        super().connection_made(made)

    def _record(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            try:
                self.log.write("stack", self.name, *head_of(frame.data))
            except ValueError:
                self.log.write("corrupt", self.name)
        elif frame.opcode is Opcode.CLOSE:
            self.log.write("close", self.name)
            if self.set_at_a_close is not None:
                self.set_at_a_close.set()
        elif frame.opcode is Opcode.PING and self.mute:
            return
        self._receive(frame)


class Application:
    """Serves the connections of the backend.

    Args:
        arguments: the process's.
        log: to write to.
    """

    def __init__(self, arguments: argparse.Namespace, log: Log) -> None:
        self._place: str = arguments.place
        self._delay: float = arguments.delay
        self._drop: bool = arguments.drop
        self._hang: bool = arguments.hang
        self._status: int | None = arguments.status
        self._poison: str = arguments.poison
        self._push: float = arguments.push
        self._log = log

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Accepts or refuses an opening handshake, or never answers it, as configured."""
        if self._hang:
            await asyncio.Event().wait()
        if self._status is not None:
            return connection.respond(http.HTTPStatus(self._status), "refused, as configured\n")
        return None

    async def serve(self, connection: ServerConnection) -> None:
        """Reads and answers messages until the connection ends."""
        name = cast("RecordingConnection", connection).name
        request = cast("Request", connection.request)
        self._log.write("open", name, number=int(request.headers.get("X-Wsgw-Replayed", "-1")))
        async with self._pushing(connection):
            async for message in connection:
                if self._drop:
                    connection.transport.abort()
                    return
                if not is_whole(message):
                    self._log.write("corrupt", name)
                    continue
                client, number = head_of(message)
                self._log.write("read", name, client, number)
                if self._poison == f"{client}:{number}":
                    os._exit(1)
                with contextlib.suppress(ConnectionClosed):  # read also what came before the close
                    await connection.send(f"{client} {number} {self._place} {name}")
                if self._delay:
                    await asyncio.sleep(self._delay)

    @asynccontextmanager
    async def _pushing(self, connection: ServerConnection) -> AsyncIterator[None]:
        """Sends unsolicited messages at an interval, if configured, until the connection ends."""
        pushing = asyncio.create_task(self._push_on(connection)) if self._push else None
        try:
            with contextlib.suppress(ConnectionClosed):
                yield
        finally:
            if pushing is not None:
                pushing.cancel()

    async def _push_on(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self._push)
                await connection.send(PUSHED)


async def run(arguments: argparse.Namespace) -> None:
    """Serves until SIGTERM, then closes every connection with 1001.

    After SIGUSR1, the first close of a connection has the effect of SIGTERM.
    """
    raise_file_limit()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    loop.add_signal_handler(
        signal.SIGUSR1, setattr, RecordingConnection, "set_at_a_close", stopping
    )
    log = RecordingConnection.log = Log(arguments.log)
    RecordingConnection.dribble = arguments.dribble
    RecordingConnection.mute = arguments.mute
    application = Application(arguments, log)
    async with serve(
        application.serve,
        arguments.host,
        arguments.port,
        reuse_port=True,
        backlog=1024,
        compression="deflate" if arguments.compress else None,
        max_size=None,
        max_queue=None if arguments.eager else _MAX_QUEUE,
        open_timeout=None,
        ping_interval=None,
        close_timeout=_CLOSE_TIMEOUT,
        process_request=application.admit,
        create_connection=RecordingConnection,
    ) as server:
        for socket in server.sockets:
            host, port = socket.getsockname()[:2]
            print(f"listening on {host}:{port}", flush=True)  # noqa: T201 - for the parent process
        await stopping.wait()


def main() -> None:
    """Runs with the process's arguments."""
    parser = argparse.ArgumentParser(prog="recording_backend")
    parser.add_argument("place", help="name of the backend, for the answers")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("log")
    parser.add_argument("--compress", action="store_true", help="accept permessage-deflate")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds for each message")
    parser.add_argument("--eager", action="store_true", help="the stack reads without limit")
    parser.add_argument("--drop", action="store_true", help="break off at the first message")
    parser.add_argument("--dribble", action="store_true", help="write three bytes at a time")
    parser.add_argument("--hang", action="store_true", help="never answer a handshake")
    parser.add_argument("--status", type=int, help="answer handshakes with this")
    parser.add_argument("--mute", action="store_true", help="never answer a ping")
    parser.add_argument("--push", type=float, default=0.0, help="seconds between pushed messages")
    parser.add_argument("--poison", default="", help="CLIENT:NUMBER of the message to die of")
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run(arguments))


if __name__ == "__main__":
    main()
