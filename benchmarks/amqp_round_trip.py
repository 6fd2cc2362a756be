"""Processor time of a round trip over RabbitMQ through wsgw, compared with bare aio-pika.

usage: amqp_round_trip.py [SECONDS]
       amqp_round_trip.py bare URL QUEUE WINDOW SECONDS
       amqp_round_trip.py worker URL QUEUE

Needs RabbitMQ on this machine's usual port. A message of 128 bytes is published with a confirm, a
worker answers it, and the answer is acknowledged. Through wsgw the message comes from a websocket,
and the answer goes back to it; 100 clients have 1 or 16 messages in flight. Bare aio-pika publishes
the same message from 100 tasks. Both take turns; the figures are medians, and for the ratios also
the smallest and the largest.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import aio_pika
import aiormq
import uvloop
from aio_pika.abc import AbstractIncomingMessage
from aiormq.abc import DeliveredMessage
from pamqp import commands

URL = "amqp://guest:guest@127.0.0.1"
CLIENTS = 100
ROUNDS = 5
DATA = b"x" * 128
HERE = Path(__file__).resolve()


async def work(url: str, queue: str) -> None:
    """Answers all messages until killed."""
    connection = await aiormq.connect(url)
    channel = await connection.channel(publisher_confirms=False)
    await channel.basic_qos(prefetch_count=2000)

    async def answer(message: DeliveredMessage) -> None:
        asked = message.header.properties
        properties = commands.Basic.Properties(
            correlation_id=asked.correlation_id, content_type=asked.content_type
        )
        await channel.basic_publish(
            message.body, routing_key=asked.reply_to or "", properties=properties
        )

    await channel.basic_consume(queue, answer, no_ack=True)
    await connection.closing


async def bare(url: str, queue: str, window: int, seconds: float) -> float:
    """Returns the processor time of a round trip in microseconds."""
    connection = await aio_pika.connect(url)
    publishing = await connection.channel(publisher_confirms=True)
    consuming = await (other := await aio_pika.connect(url)).channel()
    await consuming.set_qos(prefetch_count=2000)
    replies = await consuming.declare_queue(exclusive=True)
    waiting: dict[str, asyncio.Event] = {}
    count = 0

    async def take(message: AbstractIncomingMessage) -> None:
        waiting[message.correlation_id or ""].set()
        await message.ack()

    async def ask(name: str, until: float) -> None:
        nonlocal count
        number, answered = 0, waiting.setdefault(name, asyncio.Event())
        while time.monotonic() < until:
            number += 1
            answered.clear()
            message = aio_pika.Message(
                DATA,
                message_id=f"{name}-{number}",
                correlation_id=name,
                reply_to=replies.name,
                content_type="text/plain",
                delivery_mode=2,
                headers={"wsgw-number": number, "wsgw-path": "/"},
            )
            await publishing.default_exchange.publish(message, queue, mandatory=True)
            await answered.wait()
            count += 1

    await replies.consume(take)
    names = [uuid.uuid4().hex for _ in range(CLIENTS * window)]
    spent = -time.process_time()
    until = time.monotonic() + seconds
    await asyncio.gather(*(ask(name, until) for name in names))
    spent += time.process_time()
    await connection.close()
    await other.close()
    return spent / count * 1e6


def run_bare(queue: str, window: int, seconds: float) -> float:
    """Measures aio-pika in its own process."""
    command = [sys.executable, str(HERE), "bare", URL, queue, str(window), str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run_gateway(queue: str, window: int, seconds: float) -> float:
    """Measures a gateway, from its start to its end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "wsgw.yaml"
        backend = {"id": "queue", "url": URL, "exchange": "", "routing-key": queue}
        config = {
            "server": {"frontend": {"address": f"127.0.0.1:{port}"}, "drain-time": "0s"},
            "upstream": {"backends": [backend]},
        }
        file.write_text(json.dumps(config))
        gateway = subprocess.Popen([sys.executable, "-m", "wsgw_core.cli.main", "run", "-c", file])
        try:
            until_listening(port)
            load = [
                sys.executable,
                str(HERE.with_name("load.py")),
                "echo",
                f"ws://127.0.0.1:{port}",
            ]
            load += [str(gateway.pid), str(CLIENTS), str(window), str(len(DATA)), str(seconds)]
            told = subprocess.run(load, check=True, capture_output=True, text=True).stdout
        finally:
            gateway.terminate()
            gateway.wait()
    return float(json.loads(told)["cpu_us"])


def until_listening(port: int) -> None:
    """Waits for a port."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit("the gateway does not start")


async def declare(queue: str, *, delete: bool = False) -> None:
    """Creates or deletes the workers' queue."""
    connection = await aiormq.connect(URL)
    channel = await connection.channel()
    if delete:
        await channel.queue_delete(queue)
    else:
        await channel.queue_declare(queue, durable=True)
    await connection.close()


def compare(seconds: float) -> None:
    """Measures both in turns and prints the table."""
    queue = f"bench.{uuid.uuid4().hex[:8]}"
    asyncio.run(declare(queue))
    worker = subprocess.Popen([sys.executable, HERE, "worker", URL, queue])
    try:
        print(f"{'under way':>10} {'wsgw':>10} {'aio-pika':>10} {'ratio':>6}")
        for window in (1, 16):
            pairs = [
                (run_gateway(queue, window, seconds), run_bare(queue, window, seconds))
                for _ in range(ROUNDS)
            ]
            ours, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
            ratios = sorted(a / b for a, b in pairs)
            ratio, spread = statistics.median(ratios), f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
            figures = f"{ours:8.0f} us {theirs:8.0f} us {ratio:6.2f}  {spread}"
            print(f"{CLIENTS} x {window:<4} {figures}", flush=True)
    finally:
        worker.kill()
        worker.wait()
        asyncio.run(declare(queue, delete=True))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["worker", url, queue]:
            uvloop.run(work(url, queue))
        case ["bare", url, queue, window, seconds]:
            print(uvloop.run(bare(url, queue, int(window), float(seconds))))
        case arguments:
            compare(float(arguments[0]) if arguments else 4.0)
