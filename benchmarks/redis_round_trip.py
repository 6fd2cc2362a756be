"""Processor time of one round trip through Redis: client, stream, worker, reply stream, client.

Two contenders do the same work in one run: the gateway with a Redis backend, and bare redis-py,
which adds with pipelines and reads with XREAD, and has no clients. A worker process answers both.

usage: redis_round_trip.py [--redis URL] [--sessions 100] [--seconds 4] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Coroutine
from statistics import median
from typing import Any

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from redis.asyncio import Redis

from wsgw_core.testing.running_gateway import running_gateway

PAYLOAD = b"x" * 128
WARM_UP = 1.0


async def work(url: str, stream: str) -> None:
    """Answers the entries of the event stream and removes them, many at once."""
    redis: Any = Redis.from_url(url, protocol=2, socket_timeout=None)
    last: Any = "0-0"
    while True:
        answer = await redis.xread({stream: last}, count=1000, block=1000)
        pipeline: Any = redis.pipeline(transaction=False)
        for last, fields in answer[0][1] if answer else ():  # noqa: B007 - the last one is kept
            kept = {"session": fields[b"session"], "kind": "binary", "data": fields[b"data"]}
            pipeline.xadd(fields[b"reply"], kept)
        if answer:
            pipeline.xtrim(stream, minid=last, approximate=True)
            await pipeline.execute()


class Client(WSListener):
    """Sends a message for each one that arrives, and counts."""

    total = 0

    def __init__(self, window: int) -> None:
        super().__init__()
        self._window = window

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begins."""
        for _ in range(self._window):
            transport.send(WSMsgType.BINARY, PAYLOAD)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Sends the next message."""
        Client.total += 1
        transport.send(WSMsgType.BINARY, PAYLOAD)


async def load(url: str, sessions: int, window: int) -> None:
    """Runs all clients until killed."""
    for _ in range(sessions):
        await ws_connect(lambda: Client(window), url)
    while True:
        print(Client.total, flush=True)
        await asyncio.sleep(0.2)


async def bare(url: str, stream: str, sessions: int, window: int, seconds: float) -> float:
    """Returns the microseconds of a round trip with redis-py."""
    adder: Any = Redis.from_url(url, protocol=2, socket_timeout=None)
    reader: Any = Redis.from_url(url, protocol=2, socket_timeout=None)
    replies, total, last = f"{stream}:replies", 0, "0-0"
    owed = [(str(session), 1) for session in range(sessions) for _ in range(window)]
    wake = asyncio.Event()
    wake.set()

    async def add() -> None:
        nonlocal owed
        while True:
            await wake.wait()
            wake.clear()
            while owed:
                batch, owed = owed, []
                pipeline = adder.pipeline(transaction=False)
                for session, number in batch:
                    pipeline.xadd(stream, bare_entry(session, number, replies))
                await pipeline.execute()

    async def read() -> None:
        nonlocal last, total
        while True:
            answer = await reader.xread({replies: last}, count=500, block=2000)
            for last, fields in answer[0][1] if answer else ():  # noqa: B007 - the last one is kept
                total += 1
                owed.append((fields[b"session"].decode(), total))
            wake.set()

    tasks = [asyncio.create_task(add()), asyncio.create_task(read())]
    try:
        return await measured(lambda: total, seconds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def bare_entry(session: str, number: int, replies: str) -> dict[Any, Any]:
    """Returns the fields that the gateway's entries have."""
    return {
        "type": "message",
        "id": f"{session}-{number}",
        "session": session,
        "reply": replies,
        "path": "/",
        "time": int(time.time() * 1000),
        "number": number,
        "kind": "binary",
        "data": PAYLOAD,
    }


async def through_gateway(
    url: str, stream: str, sessions: int, window: int, seconds: float
) -> float:
    """Returns the microseconds of a round trip through the gateway, which runs in this process."""
    backend = {"id": "redis", "url": url, "stream": stream}
    async with running_gateway({"upstream": {"backends": [backend]}}) as gateway:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "--load", gateway.url),
            *("--sessions", str(sessions), "--window", str(window)),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            return await measured(lambda: gateway.count("redis_replies"), seconds)
        finally:
            process.kill()
            await process.wait()


async def measured(count: Callable[[], int], seconds: float) -> float:
    """Returns the microseconds of this process's time for each round trip."""
    while not count():  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.05)
    await asyncio.sleep(WARM_UP)
    before, started = count(), time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - started) / (count() - before) * 1e6


def run(arguments: argparse.Namespace) -> None:
    """Measures both in turns, and prints medians."""
    contenders: dict[str, Callable[..., Coroutine[Any, Any, float]]] = {
        "redis-py": bare,
        "gateway": through_gateway,
    }
    for window in (1, 16):
        found: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(arguments.rounds):
            for name, contender in contenders.items():
                stream = f"wsgw:benchmark:{uuid.uuid4().hex}"
                command = [sys.executable, __file__, "--work", stream, "--redis", arguments.redis]
                worker = subprocess.Popen(command)
                try:
                    options = (arguments.sessions, window, arguments.seconds)
                    found[name].append(uvloop.run(contender(arguments.redis, stream, *options)))
                finally:
                    worker.kill()
                    worker.wait()
        medians = {name: round(median(times), 1) for name, times in found.items()}
        ratio = round(medians["gateway"] / medians["redis-py"], 2)
        shown = {"sessions": arguments.sessions, "under way": window, **medians, "ratio": ratio}
        print(json.dumps(shown), flush=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", default="redis://127.0.0.1:6379")
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        uvloop.run(work(arguments.redis, arguments.work))
    elif arguments.load:
        uvloop.run(load(arguments.load, arguments.sessions, arguments.window))
    else:
        run(arguments)


if __name__ == "__main__":
    main()
