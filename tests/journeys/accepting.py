"""Stops the servers of this process from accepting connections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from socket import socket


async def accept_no_more(sockets: Iterable[socket]) -> None:
    """Hand all accepted sockets to a server that is about to be closed.

    An asyncio server that is closed before this leaves the socket to the garbage collector.

    Args:
        sockets: on which the server listens.
    """
    loop = asyncio.get_running_loop()
    for listening in sockets:
        loop.remove_reader(listening)  # no effect on uvloop, which has no such gap
    for _ in range(4):  # turns of the loop: a transport, its connection_made, a task, its begin
        await asyncio.sleep(0)
