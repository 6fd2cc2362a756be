"""A backend for `wsgw drill --backend redis`: a redis-server, and a worker behind it.

usage: python -m wsgw_redis.played PLACE HOST PORT LOG
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from wsgw_core.testing.recorder import Recorder

_STREAM, _GROUP, _WORKER = "wsgw:events", "drill", "worker"
_COUNT = 500
_TIMEOUT = 30.0
_CHUNK = 256 * 1024

Entries = list[tuple[bytes, dict[bytes, bytes]]]


class Worker:
    """Reads the stream, records the events, and answers many entries at once.

    Args:
        redis: the server.
        recorder: records the events.
    """

    def __init__(self, redis: Redis, recorder: Recorder) -> None:
        self._redis: Any = redis
        self._recorder = recorder

    async def work(self) -> None:
        """Handles events until the drill kills the process; unacknowledged ones come first."""
        entries = await self._read("0")
        while entries:
            await self._answer(entries, again=True)
            entries = await self._read("0")
        while True:
            await self._answer(await self._read(">"), again=False)

    async def join(self) -> None:
        """Creates the group unless it exists."""
        try:
            await self._redis.xgroup_create(_STREAM, _GROUP, "0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _read(self, start: str) -> Entries:
        answer = await self._redis.xreadgroup(
            _GROUP, _WORKER, {_STREAM: start}, count=_COUNT, block=1000
        )
        return answer[0][1] if answer else []

    async def _answer(self, entries: Entries, *, again: bool) -> None:
        if not entries:
            return
        async with self._redis.pipeline(transaction=True) as pipeline:
            for entry_id, fields in entries:
                self._take(fields, pipeline, again=again)
                pipeline.xack(_STREAM, _GROUP, entry_id)
                pipeline.xdel(_STREAM, entry_id)
            await pipeline.execute()

    def _take(self, fields: dict[bytes, bytes], pipeline: Any, *, again: bool) -> None:
        session, data = fields[b"session"].decode(), fields.get(b"data", b"")
        if fields[b"type"] == b"connect":
            replayed = int(fields.get(b"header.x-wsgw-replayed", b"0"))
            self._recorder.opened(session, replayed if b"reconnect" in fields else -1)
        elif fields[b"type"] == b"disconnect":
            self._recorder.closed(session)
        else:
            message = data.decode() if fields[b"kind"] == b"text" else data
            again = again or b"replayed" in fields
            answer = self._recorder.read(session, message, again=again)
            reply = {"session": session, "data": answer or "not of the drill"}
            pipeline.xadd(fields[b"reply"], reply, nomkstream=True)


class PortForwarder:
    """Listens at the drill's port, which redis-server cannot share, and forwards to the server.

    Args:
        port: the server's.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self, host: str, port: int) -> int:
        """Starts to listen, and returns the port."""
        server = await asyncio.start_server(self._serve, host, port, reuse_port=True)
        return int(server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(_forward(reader, inner_writer), _forward(inner_reader, writer))


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


def _start_server(folder: Path, port: int) -> None:
    """Starts a server in this process's group, so that the drill kills and freezes both."""
    folder.mkdir(exist_ok=True)
    binary = shutil.which("redis-server")
    if binary is None:
        sys.exit("redis-server is not installed")
    subprocess.Popen(  # noqa: S603 - found above, our own options
        [
            *(binary, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
        ],
        stdout=subprocess.DEVNULL,
    )


async def _until_answering(redis: Redis) -> None:
    async with asyncio.timeout(_TIMEOUT):
        while True:
            try:
                await redis.ping()
            except (RedisError, OSError):
                await asyncio.sleep(0.02)
            else:
                return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def main(place: str, host: str, port: str, log: str) -> None:
    """Serves until the drill kills the process."""
    own = _free_port()
    await asyncio.to_thread(_start_server, Path(f"{log}.data"), own)
    redis = Redis(port=own, protocol=2, socket_timeout=None)
    await _until_answering(redis)
    worker = Worker(redis, Recorder(place, log))
    await worker.join()
    listens_at = await PortForwarder(own).open(host, int(port))
    print(f"listening on {host}:{listens_at}", flush=True)  # noqa: T201 - for the drill
    await worker.work()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
