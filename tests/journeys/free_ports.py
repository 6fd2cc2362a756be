"""Ports for servers that are told where to listen."""

from __future__ import annotations

import os
import random
import socket

# Systems give higher ones to outgoing connections, and to servers that leave the choice to them.
_LOWEST, _HIGHEST = 20_000, 32_000
# Each process of a run has ports of its own: a port that one has found may not be in use yet.
_SHARES = 32


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nobody listens, and that nobody is given by chance."""
    found: set[int] = set()
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    while len(found) < count:
        port = random.SystemRandom().randrange(_LOWEST + share, _HIGHEST, _SHARES)
        if _is_free(port):
            found.add(port)
    return list(found)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
