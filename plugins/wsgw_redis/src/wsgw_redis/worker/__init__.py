"""For applications behind a Redis backend; needs only the package `redis`.

consumer  reads events as one worker of a group
event     one event, its answers and its acknowledgement
answers   sends messages to clients through the reply stream

    redis = Redis()
    async for event in consume(redis, "wsgw:events", group="chat"):
        if event.type == "message" and not event.seen:
            await event.reply(f"you said {event.text}")
        await event.ack(delete=True)
"""

from .answers import send
from .consumer import Consumer, consume
from .event import Event

__all__ = ["Consumer", "Event", "consume", "send"]
