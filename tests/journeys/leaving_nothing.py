"""What a hostile peer must not leave behind, and how it breaks off."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import connect

from wsgw_core.testing.descriptors import open_descriptors
from wsgw_core.testing.running_gateway import RunningGateway

from .eventually import until
from .scripted_backend import ScriptedBackend

GOOD = "/good"  # the path of clients that mean no harm


@asynccontextmanager
async def leaving_nothing(
    gateway: RunningGateway, backend: ScriptedBackend | None = None
) -> AsyncIterator[None]:
    """Have no more tasks, descriptors and sessions after the block than before, and one served.

    Args:
        gateway: before the backends.
        backend: the only one; None: they send the messages of good clients back.
    """
    await serve_a_good_client(gateway, backend)  # so that what is made once has been made
    await until(lambda: not len(gateway.gateway.sessions), "what it has said is delivered")
    await until(lambda: not len(gateway.gateway.sessions), "the good client's session is over")
    tasks, descriptors = asyncio.all_tasks(), open_descriptors()
    yield
    await until(
        lambda: (
            not len(gateway.gateway.sessions)
            and asyncio.all_tasks() <= tasks
            and (descriptors is None or (open_descriptors() or descriptors) <= descriptors)
        ),
        "no more sockets, tasks and sessions than before",
    )
    await serve_a_good_client(gateway, backend)
    # whose message is owed for a while: a backend that went before would be waited for
    await until(lambda: not len(gateway.gateway.sessions), "the last session is over")


async def serve_a_good_client(
    gateway: RunningGateway, backend: ScriptedBackend | None = None
) -> None:
    async with connect(gateway.url + GOOD) as client:
        if backend is None:
            await client.send("good")
            assert await client.recv() == "good"
            return
        served = await backend.connection()
        while served.request is None or served.request.path != GOOD:
            served = await backend.connection()  # that one was a hostile client's
        await client.send("good")
        assert await served.recv() == "good"
        await served.send("too")
        assert await client.recv() == "too"


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off with a RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
