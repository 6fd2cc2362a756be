"""Half an hour of failures: the gateway must lose nothing and must not grow.

usage: python -m tests.chaos.soak [--duration DURATION] [--json FILE] [--way WAY ...]
                                  [--clients NUMBER] [--rate MESSAGES]

Like `wsgw drill --duration`, but also counts the gateway's tasks, which only its own process
can see. Exit status as for `wsgw drill`.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from wsgw_drill.drill import Drill
from wsgw_drill.gateway_process import DrilledGateway
from wsgw_drill.live_display import LiveDisplay
from wsgw_drill.load_client import Load
from wsgw_drill.place import Place
from wsgw_drill.processes.server_process import Processes
from wsgw_drill.row import Bounds, Row
from wsgw_drill.run import run_drill
from wsgw_drill.stage import Plan, Stage
from wsgw_drill.target import Address, StockGateway
from wsgw_drill.ways import WAYS

from wsgw_core.api.options import parse_duration

WAYS_OF_THE_SOAK = ("kill", "terminate", "reset", "away", "client-vanishes", "client-closes")
NO_BOUNDS = Bounds(death=math.inf, silence=math.inf)
_ALLOWED_TASKS = 2
_NOTED = 0.5  # seconds after which the counts are written


def counts_in(file: Path) -> list[int]:
    """Returns the numbers that a counted_gateway has written."""
    return [int(number) for number in file.read_text().split()]


@dataclass(frozen=True)
class CountedProcess(DrilledGateway):
    """The gateway's process, which writes its counts."""

    counts_file: Path = field(kw_only=True)

    async def undelivered(self) -> int | None:
        await asyncio.sleep(_NOTED)
        return counts_in(self.counts_file)[1]


@dataclass(frozen=True)
class CountedGateway(StockGateway):
    """A gateway with default settings that counts its tasks."""

    counts_file: Path = field(kw_only=True)

    async def start(self, processes: Processes, places: list[Place]) -> DrilledGateway:
        urls = [place.url for place in places]
        process = await processes.start(
            "the gateway", "tests.chaos.counted_gateway", str(self.counts_file), *urls
        )
        return CountedProcess(
            f"ws://127.0.0.1:{process.port}/",
            process.pid,
            process,
            counts_file=self.counts_file,
        )


class CountingDisplay(LiveDisplay):
    """Records the number of tasks before each round, when no session is open."""

    def __init__(self, console: Console, ways: int, *, counts_file: Path, tasks: list[int]) -> None:
        super().__init__(console, ways)
        self._counts_file = counts_file
        self._tasks = tasks

    def round_begins(self, row: Row, stage: Stage) -> None:
        self._tasks.append(counts_in(self._counts_file)[0])
        super().round_begins(row, stage)


def grown(tasks: list[int]) -> str | None:
    """Compares the last quarter with the second."""
    quarter = len(tasks) // 4
    if not quarter:
        return None
    before, after = max(tasks[quarter : 2 * quarter]), max(tasks[-quarter:])
    return f"{before} tasks before, {after} now" if after > before + _ALLOWED_TASKS else None


def main() -> int:
    """Runs with the process's arguments; returns the exit status."""
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument("--duration", type=parse_duration, default=1800.0)
    parser.add_argument("--json", type=Path, default=Path("build/soak.json"))
    parser.add_argument("--way", action="append", choices=WAYS)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument(
        "--rate", type=float, default=100.0, help="messages a second of each client"
    )
    arguments = parser.parse_args()
    ways = [WAYS[name] for name in arguments.way or WAYS_OF_THE_SOAK]
    tasks: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        counts_file = Path(folder) / "counts"
        target = CountedGateway([Address("blue"), Address("green")], counts_file=counts_file)
        plan = Plan(arguments.clients, Load(arguments.rate, 64, 65_536), breaks=3, calm=1.0)
        drill = Drill(target, ways, plan, NO_BOUNDS, arguments.duration)
        display = partial(CountingDisplay, counts_file=counts_file, tasks=tasks)
        status = run_drill(drill, arguments.json, display)
    growth = grown(tasks)
    print(growth or f"tasks of the idle gateway: {min(tasks)} to {max(tasks)}")  # noqa: T201 - the result
    return 1 if growth else status


if __name__ == "__main__":
    sys.exit(main())
