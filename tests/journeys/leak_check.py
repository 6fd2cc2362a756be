"""Checks that hostile peers leak no resources, and aborts connections with a RST."""

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

GOOD = "/good"  # the path of good clients


@asynccontextmanager
async def no_leaks(
    gateway: RunningGateway, backend: ScriptedBackend | None = None
) -> AsyncIterator[None]:
    """Check that the block leaks no task, descriptor or session, and that a good client is served.

    Args:
        gateway: before the backends.
        backend: the only one; None: they send the messages of good clients back.
    """
    await serve_a_good_client(gateway, backend)  # warm up: some objects are made once
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
    # its message may be unacknowledged for a while: the gateway would wait for a lost backend
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
    """Abort a connection with a RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
