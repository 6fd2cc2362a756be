"""Processor time of a message through wsgw_nats, compared with nats-py alone.

usage: publishing.py [MESSAGES]

Needs nats-server. Both publish messages of 128 bytes with the same headers to a stream in memory,
with 256 unacknowledged messages in total. They take turns for several rounds; each figure is the
median of the rounds.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nats
import uvloop
from nats.aio.msg import Msg
from nats.js.api import StorageType, StreamConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples/wsgw_nats/src"))

from wsgw_nats.backend import NatsBackend
from wsgw_nats.envelope import message_headers
from wsgw_nats.settings import NatsSettings

from wsgw_core.api import Close, DialRequest, Message, NumberedConnection
from wsgw_core.testing.context import make_context

ROUNDS = 7
UNDER_WAY = 256
SUBJECT = "wsgw.messages"
DATA = b"x" * 128
Measure = Callable[[str, str, int, int], Awaitable[float]]


class Feed:
    """A session that sends the next message when one is delivered.

    Args:
        messages: the total number to send.
        at_once: the number of messages in flight.
    """

    connection: NumberedConnection

    def __init__(self, messages: int, at_once: int) -> None:
        self._messages = messages
        self._at_once = at_once
        self._sent = self._delivered = 0
        self.is_over = asyncio.Event()

    def begin(self) -> None:
        """Sends the first messages."""
        self._send(self._at_once)

    def message(self, _message: Message, /) -> bool:
        """See Sink."""
        return True

    def delivered(self, count: int, /) -> None:
        """See Sink."""
        self._delivered += count
        if self._delivered == self._messages:
            self.is_over.set()
        self._send(count)

    def writable(self, _writable: bool, /) -> None:
        """See Sink."""

    def closed(self, _close: Close, /) -> None:
        """See Sink."""

    def _send(self, count: int) -> None:
        for _ in range(min(count, self._messages - self._sent)):
            self._sent += 1
            self.connection.send_numbered(Message.from_text(DATA.decode()), self._sent)


async def through_the_backend(url: str, run: str, sessions: int, messages: int) -> float:
    """Returns microseconds of processor time for each message."""
    backend = NatsBackend(NatsSettings(url=url), make_context())
    feeds = [Feed(messages // sessions, UNDER_WAY // sessions) for _ in range(sessions)]
    for number, feed in enumerate(feeds):
        feed.connection = await backend.connect(DialRequest(f"{run}-{number}", "/"), feed)
        feed.connection.start()
    begin = time.thread_time()
    for feed in feeds:
        feed.begin()
    for feed in feeds:
        await feed.is_over.wait()
    spent = time.thread_time() - begin
    for feed in feeds:
        feed.connection.close(1000)
    await backend.close()
    return spent / messages * 1e6


async def by_the_library(url: str, run: str, _sessions: int, messages: int) -> float:
    """Returns microseconds of processor time for each message."""
    client = await nats.connect(url)
    inbox = client.new_inbox()
    waiting: deque[int] = deque(range(1, messages + 1))
    ready, over = asyncio.Event(), asyncio.Event()
    room = UNDER_WAY
    acknowledged = 0

    async def acknowledge(_msg: Msg) -> None:
        nonlocal room, acknowledged
        room += 1
        acknowledged += 1
        ready.set()
        if acknowledged == messages:
            over.set()

    await client.subscribe(f"{inbox}.*", cb=acknowledge)
    begin = time.thread_time()
    while waiting:
        while room and waiting:
            room -= 1
            number = waiting.popleft()
            headers = message_headers(run, number, "text", inbox)
            await client.publish(SUBJECT, DATA, f"{inbox}.{number}", headers)
        ready.clear()
        await ready.wait()
    await over.wait()
    spent = time.thread_time() - begin
    await client.close()
    return spent / messages * 1e6


@contextmanager
def server() -> Iterator[str]:
    """Runs a nats-server; yields its URL."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    binary = shutil.which("nats-server", path=path)
    if binary is None:
        sys.exit("nats-server is not installed")
    with tempfile.TemporaryDirectory() as folder:
        command = (binary, "-js", "-a", "127.0.0.1", "-p", "-1", "-sd", folder)
        process = subprocess.Popen(
            [*command, "--ports_file_dir", folder], stderr=subprocess.DEVNULL
        )
        try:
            until = time.monotonic() + 60
            while not (found := [*Path(folder).glob("*.ports")]) and time.monotonic() < until:
                time.sleep(0.01)
            yield found[0].read_text().partition('"nats":["')[2].partition('"')[0]
        finally:
            process.kill()
            process.wait()


async def make_stream(url: str) -> None:
    """Creates the stream, in memory and with a bound."""
    client = await nats.connect(url)
    config = StreamConfig(
        "bench", subjects=["wsgw.>"], storage=StorageType.MEMORY, max_msgs=10_000, max_bytes=2**26
    )
    await client.jetstream().add_stream(config)
    await client.close()


async def main(url: str, messages: int) -> None:
    """Prints a row for each number of sessions."""
    ways: dict[str, Measure] = {"nats-py": by_the_library, "wsgw_nats": through_the_backend}
    await make_stream(url)
    for sessions in (1, 50):
        found: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(ROUNDS):
            for name, measure in ways.items():
                run = f"{name}-{sessions}-{turn}"
                found[name].append(await measure(url, run, sessions, messages))
        bare, ours = (statistics.median(each) for each in found.values())
        pairs = zip(*found.values(), strict=True)
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{sessions:3} sessions  nats-py {bare:5.1f} us  wsgw_nats {ours:5.1f} us", end="")
        print(f"  ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    with server() as nats_url:
        uvloop.run(main(nats_url, int(sys.argv[1]) if sys.argv[1:] else 20_000))
