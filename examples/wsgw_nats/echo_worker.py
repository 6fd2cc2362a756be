"""A worker for wsgw-nats: creates the stream, and answers each text with its name and the text.

usage: python echo_worker.py URL NAME
"""

from __future__ import annotations

import asyncio
import sys

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error


async def answer(client: Client, name: str, msg: Msg) -> None:
    """Answers one message."""
    headers = msg.headers or {}
    if headers["Wsgw-Type"] == "text":
        await client.publish(headers["Wsgw-Reply-To"], name.encode() + b" " + msg.data)
    else:
        print(f"{name}: {headers['Wsgw-Type']} {msg.data!r}", flush=True)
    await msg.ack()


async def tell(error: Exception) -> None:
    """Prints an error of the connection."""
    print(f"worker: {error!r}", flush=True)


async def main() -> None:
    """Handles messages until the process ends."""
    url, name = sys.argv[1:]
    client = await nats.connect(url, max_reconnect_attempts=-1, error_cb=tell)
    jetstream = client.jetstream()
    await jetstream.add_stream(name="wsgw", subjects=["wsgw.>"])
    subscription = await jetstream.pull_subscribe("wsgw.messages", durable="echo")
    print(f"{name} works", flush=True)
    while True:
        try:
            found = await subscription.fetch(100, timeout=5)
        except (TimeoutError, Error):  # no messages, or the server is down
            await asyncio.sleep(0.1)
            continue
        for msg in found:
            await answer(client, name, msg)


if __name__ == "__main__":
    asyncio.run(main())
