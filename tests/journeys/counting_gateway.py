"""A gateway as a process that prints its counters on SIGUSR1.

usage: python -m counting_gateway asyncio|uvloop CONFIGURATION [OPEN_FILES]
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
from pathlib import Path

import uvloop

from wsgw_core.cli.config_option import load
from wsgw_core.gateway.gateway import Gateway


async def serve(configuration: Path) -> None:
    loaded = load(configuration)
    gateway = Gateway(loaded.config, loaded.specs)
    await gateway.start()

    def tell() -> None:
        counters = {each.name: each.total for each in gateway.metrics if each.kind == "counter"}
        sys.stdout.write(f"counters {json.dumps(counters)}\n")

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
    sys.stdout.write(f"listening on {gateway.addresses[0]}\n")
    await asyncio.get_running_loop().create_future()  # until it is killed


if __name__ == "__main__":
    if sys.argv[3:]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[3]), int(sys.argv[3])))
    new_loop = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}[sys.argv[1]]
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(Path(sys.argv[2])))
