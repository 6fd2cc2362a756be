"""Ports for servers that are told where to listen."""

from __future__ import annotations

import random
import socket

# Systems give higher ones to outgoing connections, and to servers that leave the choice to them.
_LOWEST, _HIGHEST = 20_000, 32_000


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nobody listens, and that nobody is given by chance."""
    found: set[int] = set()
    while len(found) < count:
        port = random.SystemRandom().randint(_LOWEST, _HIGHEST)
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
