"""A gateway that keeps writing its number of tasks and of undelivered messages to a file.

usage: python -m tests.chaos.counted_gateway COUNTS_FILE BACKEND_URL ...
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.file_limit import raise_file_limit
from wsgw_core.gateway.gateway import Gateway
from wsgw_core.plugins.loader import load_plugins
from wsgw_core.plugins.plugin_specs import required_plugins, resolve_specs

_INTERVAL = 0.2


def note_counts(file: Path, gateway: Gateway) -> None:
    """Writes the numbers of tasks and undelivered messages; a reader never sees half of them."""
    fresh = file.with_suffix(".new")
    fresh.write_text(f"{len(asyncio.all_tasks())} {gateway.counters.undelivered.value}")
    fresh.replace(file)


async def run(counts_file: Path, urls: list[str]) -> None:
    """Runs until killed."""
    config = GatewayConfig.model_validate(
        {
            "server": {"frontend": {"address": "127.0.0.1:0"}, "logging-level": "ERROR"},
            "upstream": {"backends": [{"url": url} for url in urls]},
        }
    )
    gateway = Gateway(config, resolve_specs(config, load_plugins(required_plugins(config))))
    await gateway.start()
    note_counts(counts_file, gateway)
    print(f"listening on {gateway.addresses[0]}", flush=True)  # noqa: T201 - for the soak
    while True:
        await asyncio.sleep(_INTERVAL)
        note_counts(counts_file, gateway)


if __name__ == "__main__":
    raise_file_limit()
    uvloop.run(run(Path(sys.argv[1]), sys.argv[2:]))
