"""A worker that sends messages back to their clients.

usage: echo_worker.py [URL]

The gateway only needs `url: redis://127.0.0.1:6379`. Start several of these workers if one
is too slow.
"""

from __future__ import annotations

import asyncio
import os
import sys

from redis.asyncio import Redis
from wsgw_redis.worker import consume


async def main(url: str) -> None:
    """Handles events until the process ends."""
    redis = Redis.from_url(url)
    name = f"echo-{os.getpid()}"
    print(f"{name} reads wsgw:events", flush=True)
    async for event in consume(redis, "wsgw:events", group="echo", consumer=name):
        if event.type == "message" and not event.seen:
            await event.reply(event.text if event.is_text else event.data)
        await event.ack(delete=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379"))
