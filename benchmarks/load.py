"""Loads a websocket server; reports what that costs one process and its children.

usage: load.py echo  URL PID CONNECTIONS WINDOW SIZE SECONDS [compressed]
       load.py idle  URL PID CONNECTIONS

Prints one JSON object. Certificates of `wss:` URLs are not verified.

echo: each connection keeps WINDOW messages of SIZE bytes in flight; whenever one comes back, the
client sends the next. `cpu_us` is the processor time in microseconds of one round trip, `rate` the
number of round trips per second. If SECONDS are too few for a measurement, it takes longer. With
`compressed`, messages use permessage-deflate (RFC 7692).
idle: opens the connections and waits. `kb` is the resident memory of one connection in kB.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_WARM_UP = 1.0
_SETTLE = 1.5
_LEAST_SPENT = 0.5  # seconds of processor time: the kernel counts in hundredths
_TIMEOUT = 20.0  # seconds, for a busy machine
_AT_A_TIME = 50
# Without a context, a message is compressed once and can be sent repeatedly.
_OFFER = {
    "Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover;"
    " client_no_context_takeover"
}


class Payload:
    """The message to send.

    Args:
        size: bytes, before compression.
        compressed: whether it is compressed.
    """

    def __init__(self, size: int, *, compressed: bool = False) -> None:
        # half as long when compressed, as is usual for JSON
        self.data = random.Random(0).randbytes(size // 2 + 1).hex().encode()[:size]  # noqa: S311 # no secret
        self.compressed = compressed
        if compressed:
            deflate = zlib.compressobj(1, wbits=-12)
            self.data = (deflate.compress(self.data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def send(self, transport: WSTransport) -> None:
        """Sends it once."""
        transport.send(WSMsgType.BINARY, self.data, rsv1=self.compressed)


class Client(WSListener):
    """A connection that always has the same number of messages in flight."""

    round_trips = 0

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self._transport: WSTransport

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Stores where to send."""
        self._transport = transport

    def begin(self, window: int) -> None:
        """Sends the first messages."""
        for _ in range(window):
            self._payload.send(self._transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Counts the message and sends the next one."""
        if frame.msg_type == WSMsgType.BINARY:
            Client.round_trips += 1
            self._payload.send(transport)
        elif frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Ends the script: a result with fewer connections is worthless."""
        sys.stderr.write("a connection was lost\n")
        sys.stderr.flush()
        os._exit(1)


def processes(pid: int) -> Iterator[int]:
    """Yields a process and its descendants."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from processes(int(child))


def stat_fields(pid: int) -> list[str]:
    """Returns the fields of /proc/PID/stat from the third on; see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float:
    """Returns the user and system time that the processes have spent."""
    fields = map(stat_fields, processes(pid))
    return sum(int(user) + int(system) for _, user, system in (f[10:13] for f in fields)) / _TICKS


def resident_kb(pid: int) -> float:
    """Returns the processes' resident memory in kB."""
    return sum(int(stat_fields(each)[21]) for each in processes(pid)) * _PAGE / 1024


async def connect(url: str, count: int, payload: Payload, **options: Any) -> list[Client]:
    """Opens connections, some at a time."""
    if url.startswith("wss:"):
        context = options["ssl_context"] = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if payload.compressed:
        options["extra_headers"] = _OFFER
    options["websocket_handshake_timeout"] = _TIMEOUT
    clients = [Client(payload) for _ in range(count)]
    for first in range(0, count, _AT_A_TIME):
        some = clients[first : first + _AT_A_TIME]
        await asyncio.gather(*(ws_connect(lambda one=one: one, url, **options) for one in some))
    return clients


async def echo(
    url: str, pid: int, connections: int, window: int, payload: Payload, seconds: float
) -> dict[str, float]:
    """Measures the cost of a round trip."""
    for client in await connect(url, connections, payload):
        client.begin(window)
    await asyncio.sleep(_WARM_UP)
    await first_answers(connections * window)
    begun, trips, cpu = time.perf_counter(), Client.round_trips, cpu_seconds(pid)
    await asyncio.sleep(seconds)
    while True:
        took, found = time.perf_counter() - begun, Client.round_trips - trips
        spent = cpu_seconds(pid) - cpu
        is_late = took > seconds + _TIMEOUT
        if found and spent and (is_late or spent >= _LEAST_SPENT):
            return {"cpu_us": spent / found * 1e6, "rate": found / took}
        if is_late:
            raise SystemExit("no message came back")
        await asyncio.sleep(0.1)


async def first_answers(count: int) -> None:
    """Waits until as many messages have come back as were sent at first, all at once."""
    late = time.perf_counter() + _TIMEOUT
    while Client.round_trips < count and time.perf_counter() < late:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.05)


async def idle(url: str, pid: int, connections: int) -> dict[str, float]:
    """Measures the memory of a connection."""
    before = resident_kb(pid)
    await connect(url, connections, Payload(0), read_buffer_init_size=2048)
    await asyncio.sleep(_SETTLE)
    return {"kb": (resident_kb(pid) - before) / connections}


def main() -> None:
    """Runs with the process's arguments."""
    what, url, *numbers = sys.argv[1:]
    pid, connections = int(numbers[0]), int(numbers[1])
    if what == "idle":
        result = uvloop.run(idle(url, pid, connections))
    else:
        window, size, seconds = int(numbers[2]), int(numbers[3]), float(numbers[4])
        payload = Payload(size, compressed="compressed" in numbers)
        result = uvloop.run(echo(url, pid, connections, window, payload, seconds))
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
