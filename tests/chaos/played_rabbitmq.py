"""Plays the worker of a RabbitMQ node that runs already, which takes seconds to start.

usage: python -m tests.chaos.played_rabbitmq PLACE HOST PORT LOG

It is for ways that kill no backend. The node's port is in the variable DRILLED_NODE_PORT.
"""

from __future__ import annotations

import asyncio
import os
import sys

import aiormq
from wsgw_amqp.played import QUEUE, Worker
from wsgw_redis.played import PortForwarder

from wsgw_core.testing.recorder import Recorder

NODE_PORT = "DRILLED_NODE_PORT"


async def main(place: str, host: str, port: str, log: str) -> None:
    """Serves until killed."""
    node_port = int(os.environ[NODE_PORT])
    connection = await aiormq.connect(f"amqp://guest:guest@127.0.0.1:{node_port}")
    channel = await connection.channel(publisher_confirms=True)
    await channel.queue_delete(QUEUE)  # of the way before
    await Worker(Recorder(place, log), channel).work()
    listens_at = await PortForwarder(node_port).open(host, int(port))
    print(f"listening on {host}:{listens_at}", flush=True)  # noqa: T201 - for the drill
    await connection.closing


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
