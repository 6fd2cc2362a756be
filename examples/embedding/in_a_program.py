"""Runs a gateway inside a program, with the program's own valve.

usage: in_a_program.py BACKEND_URL
"""

from __future__ import annotations

import asyncio
import sys
import types

from wsgw_core import Gateway
from wsgw_core.api import (
    ConfigurationError,
    Message,
    Options,
    Session,
    ValveRegistry,
    hookimpl,
    per_session,
)


class ShoutValve:
    """Converts clients' messages to upper case."""

    def __init__(self, options: Options, session: Session) -> None:
        pass

    def before_transmit(self, message: Message) -> Message:
        """Returns the message for the backend."""
        return Message(message.kind, message.data.upper())

    def after_receive(self, message: Message) -> Message:
        """Returns the message for the client."""
        return message


@hookimpl
def wsgw_register_valves(registry: ValveRegistry) -> None:
    """Registers the valve. The function could also be in a module of its own."""
    registry.add("shout", Options, per_session(ShoutValve))


PLUGIN = types.SimpleNamespace(WSGW_API="1.0", wsgw_register_valves=wsgw_register_valves)


async def main(backend: str) -> None:
    """Relays until the standard input ends."""
    configuration = {
        "server": {"frontend": {"address": "127.0.0.1:0"}, "admin": False, "drain-time": "0s"},
        "upstream": {"backends": [{"url": backend}]},
        "valves": [{"kind": "shout"}],
    }
    async with Gateway.from_mapping(configuration, plugins=[PLUGIN]) as gateway:
        print("clients connect to", *gateway.addresses, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except ConfigurationError as error:
        sys.exit("\n".join(error.problems))
