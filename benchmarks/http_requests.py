"""The cost of a message sent as an HTTP request, compared with a bare loop of the client library.

usage: http_requests.py [--rounds N] [--seconds N]

Each round runs both against the same application, which echoes. The gateway has 100 clients with
one message of 128 bytes in flight each. The bare loop is 100 tasks that only post such a message,
with the same headers, and read the answer. The figures are processor time; see README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import uvloop

HERE = Path(__file__).resolve().parent
TIMEOUT = 60.0
AT_ONCE = 100
SIZE = 128
WARM_UP = 1.0
GATEWAY = """\
server:
  frontend: {{address: "127.0.0.1:0"}}
  admin: false
upstream:
  backends:
    - {{url: "http://127.0.0.1:{port}/ws{{path}}"}}
"""
SESSION = "tdASj_adRLtf7zzrLhYQP2lw"
HEADERS = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "127.0.0.1:28080",
    "X-Wsgw-Session": SESSION,
    "ce-specversion": "1.0",
    "ce-source": "/wsgw",
    "ce-subject": "/",
    "ce-partitionkey": SESSION,
    "Content-Type": "application/octet-stream",
    "X-Wsgw-Event": "message",
    "Idempotency-Key": f'"{SESSION}-123456"',
    "X-Wsgw-Number": "123456",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "ce-type": "wsgw.message",
    "ce-id": f"{SESSION}-123456",
    "ce-time": "2026-11-29T01:02:03.456Z",
}


class Application(asyncio.Protocol):
    """Answers each request with its body, as fast as Python can."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stores where to answer."""
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answers complete requests; a client sends nothing before an answer has come."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._received = b""
        if b"X-Wsgw-Event: message" in head:
            answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
            answer += b"Content-Length: %d\r\n\r\n%s" % (length, body)
        else:
            answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        self._transport.write(answer)  # type: ignore[attr-defined]  # of a TCP transport


async def serve() -> None:
    """Serves until the standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Application, "127.0.0.1", 0)
    print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


async def post(url: str, seconds: float) -> None:
    """Posts messages, and prints the processor time of one in microseconds."""
    done, body = 0, bytes(SIZE)

    async def go_on(session: aiohttp.ClientSession) -> None:
        nonlocal done
        while True:
            async with session.post(url, data=body, headers=HEADERS) as response:
                await response.read()
            done += 1

    async with aiohttp.ClientSession() as session:
        tasks = [asyncio.create_task(go_on(session)) for _ in range(AT_ONCE)]
        await asyncio.sleep(WARM_UP)
        before, began = done, time.process_time()
        await asyncio.sleep(seconds)
        spent, count = time.process_time() - began, done - before
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps({"cpu_us": spent / count * 1e6, "rate": count / seconds}))


@contextmanager
def started(processor: int, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Runs a command on one processor, and ends it at the end of the block."""
    pinned = ("taskset", "--cpu-list", str(processor), *command)
    with subprocess.Popen(
        pinned, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def measured(command: list[str], seconds: float) -> dict[str, float]:
    """Returns the last line that a command prints."""
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=TIMEOUT + seconds
    )
    if done.returncode:
        sys.exit(f"http_requests.py: {' '.join(command)} failed\n{done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def through_the_gateway(port: int, processors: tuple[int, int], seconds: float) -> dict[str, float]:
    """Loads a gateway before the application."""
    with TemporaryDirectory(prefix="wsgw-bench-") as folder:
        file = Path(folder) / "wsgw.yaml"
        file.write_text(GATEWAY.format(port=port))
        wsgw = str(Path(sys.executable).with_name("wsgw"))
        with started(processors[0], wsgw, "run", "-c", str(file)) as gateway:
            assert gateway.stdout is not None  # noqa: S101 - a pipe
            listening = next((line for line in gateway.stdout if "listening on" in line), "")
            if not listening:
                sys.exit("http_requests.py: the gateway does not start")
            address = listening.partition("listening on ")[2].split()[0].strip(",;")
            load = ["taskset", "--cpu-list", str(processors[1]), sys.executable]
            load += [str(HERE / "load.py"), "echo", f"ws://{address}/", str(gateway.pid)]
            return measured([*load, str(AT_ONCE), "1", str(SIZE), str(seconds)], seconds)


def main() -> None:
    """Measures in turns, and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("role", nargs="?", choices=("serve", "post"), help=argparse.SUPPRESS)
    parser.add_argument("url", nargs="?", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "serve":
        uvloop.run(serve())
    elif options.role == "post":
        uvloop.run(post(options.url, options.seconds))
    else:
        compare(options.rounds, options.seconds)


def compare(rounds: int, seconds: float) -> None:
    """Measures both, one after the other."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        sys.exit("http_requests.py: needs two processors")
    processors = (usable[0], usable[1])
    bare, gateway = [], []
    with started(processors[1], sys.executable, __file__, "serve") as application:
        assert application.stdout is not None  # noqa: S101 - a pipe
        port = json.loads(application.stdout.readline())
        url = f"http://127.0.0.1:{port}/ws/"
        command = ["taskset", "--cpu-list", str(processors[0]), sys.executable, __file__]
        for _ in range(rounds):
            post_alone = [*command, "--seconds", str(seconds), "post", url]
            bare.append(measured(post_alone, seconds)["cpu_us"])
            gateway.append(through_the_gateway(port, processors, seconds)["cpu_us"])
    ratio = statistics.median(own / other for own, other in zip(gateway, bare, strict=True))
    print(f"bare loop     {statistics.median(bare):6.1f} us a request")
    print(f"gateway       {statistics.median(gateway):6.1f} us a round trip")
    print(f"ratio         {ratio:6.2f}")


if __name__ == "__main__":
    main()
