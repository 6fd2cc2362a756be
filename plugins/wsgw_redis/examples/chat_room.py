"""Chat rooms: a client's messages reach all clients of its room, at any gateway.

usage: chat_room.py [URL]

The gateway's backend subscribes each client to the channel of its room, which is the path:

    url: redis://127.0.0.1:6379
    events: [connect, message, disconnect]
    subscribe: ["room:{path.1}"]
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from redis.asyncio import Redis
from wsgw_redis.worker import Event, consume


def spoken(event: Event) -> str:
    """Returns the message to the room about an event."""
    said = {"message": event.data.decode(errors="replace"), "connect": "is here"}
    return json.dumps({"who": event.session[:6], "says": said.get(event.type, "has left")})


async def main(url: str) -> None:
    """Handles events until the process ends."""
    redis = Redis.from_url(url)
    name = f"chat-{os.getpid()}"
    print(f"{name} reads wsgw:events", flush=True)
    async for event in consume(redis, "wsgw:events", group="chat", consumer=name):
        if not event.seen:
            await redis.publish(f"room:{event.path.strip('/')}", spoken(event))
        await event.ack(delete=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379"))
