"""Runs a drill: all ways, once or repeatedly, against one gateway."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from websockets.exceptions import WebSocketException

from wsgw_core.file_limit import raise_file_limit

from .admin_api import NotDone
from .gateway_process import DrilledGateway
from .growth import Growth, Sample
from .load_client import Refused
from .place import Place
from .processes.server_process import Processes, ProcessFailed
from .row import Bounds, Row
from .stage import Plan, Stage, Stuck, open_stage
from .target import Target
from .ways import Way
from .work_folder import work_folder

_HERD_RATE = 2_000  # maximum messages a second of all clients together, if there are very many
_FORGET = 1.0  # seconds for the gateway to free a round's sessions


class Audience(Protocol):
    """Follows the progress of a drill."""

    def round_begins(self, row: Row, stage: Stage) -> None:
        """Called before a round of a way."""

    def round_ends(self, row: Row) -> None:
        """Called after the round, whose results are in the row."""


@dataclass(frozen=True)
class Result:
    """The result of a drill."""

    rows: list[Row]
    growth: Growth

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.has_failed and not self.slow_ways

    @property
    def has_failed(self) -> bool:
        """Whether anything but a time was not as expected."""
        return bool(self.growth.failures or self.failed_ways)

    @property
    def failed_ways(self) -> list[str]:
        """The ways with failures."""
        return [row.way.name for row in self.rows if row.failures]

    @property
    def slow_ways(self) -> list[str]:
        """The ways in which a time was longer than its limit."""
        return [row.way.name for row in self.rows if row.slow]


@dataclass(frozen=True)
class Drill:
    """A drill.

    Attributes:
        target: the gateway.
        ways: what to break.
        plan: how much load and how many breaks.
        bounds: limits of the pauses.
        duration: seconds for which the ways are repeated; None: once each.
        route: the id of the drilled route; None: no routes, or unknown.
    """

    target: Target
    ways: list[Way]
    plan: Plan
    bounds: Bounds
    duration: float | None = None
    route: str | None = None

    async def run(self, audience: Audience) -> Result:
        """Runs all ways.

        Raises:
            ProcessFailed: the gateway does not start.
            AddressTaken: a backend's address is in use, or not of this machine.
            NotDone: the admin API of a running gateway does not answer, or is another's.
            Refused: the gateway refuses the clients of the first way.
        """
        raise_file_limit()
        rows = {way.name: Row(way) for way in self.ways}
        growth = Growth()
        deadline = None if self.duration is None else time.monotonic() + self.duration
        async with self._opened() as (gateway, places):
            while True:
                for row in rows.values():
                    first = not growth.samples
                    await self._round(row, gateway, places, audience, first=first)
                    growth.add(Sample.take(row.way.name, gateway.footprint()))
                if deadline is None or time.monotonic() >= deadline:
                    break
        for row in rows.values():
            row.judge_pauses(self.bounds)
        growth.judge()
        return Result(list(rows.values()), growth)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[DrilledGateway, list[Place]]]:
        with work_folder() as folder:
            async with Processes(self.target.environment) as processes:
                places: list[Place] = []
                try:
                    for address in self.target.addresses:
                        log = folder / f"{len(places)}.log"
                        places.append(
                            Place(
                                address.name,
                                address.host,
                                address.port,
                                played=self.target.played,
                                processes=processes,
                                log=log,
                                compress=self.plan.load.compress,
                            )
                        )
                    yield await self.target.start(processes, places), places
                finally:
                    for place in places:
                        place.close()

    async def _round(
        self,
        row: Row,
        gateway: DrilledGateway,
        places: list[Place],
        audience: Audience,
        *,
        first: bool,
    ) -> None:
        plan = self._plan_of(row.way)
        settings = self.target.settings
        async with open_stage(gateway, places, plan, settings, proxied=row.way.proxied) as stage:
            gateway.forget_peak()
            given_up = await gateway.undelivered()
            audience.round_begins(row, stage)
            try:
                try:
                    await row.way.go(stage)
                except (
                    Stuck,
                    NotDone,
                    ProcessFailed,
                    OSError,
                    WebSocketException,
                    EOFError,
                ) as error:
                    stage.failures.append(str(error) or type(error).__name__)
                verdict = await stage.finish(
                    answered=row.way.expectation.answered or settings.replies
                )
            except Refused as refused:
                if first:
                    raise
                stage.refused, verdict = str(refused), stage.verdict()
            if given_up is not None and (now := await gateway.undelivered()) is not None:
                stage.undelivered = now - given_up
            row.add(stage, verdict, gateway.footprint())
            audience.round_ends(row)
        if gateway.process is not None and gateway.process.status is not None:
            said = "; ".join(gateway.process.lines)
            raise ProcessFailed(f"the gateway ended: {said}", gateway.process.status)
        await asyncio.sleep(_FORGET)

    def _plan_of(self, way: Way) -> Plan:
        plan = self.plan
        if way.breaks is not None:
            plan = dataclasses.replace(plan, breaks=min(plan.breaks, way.breaks))
        if way.clients is None:
            return plan
        load = plan.load
        slow = dataclasses.replace(
            load,
            rate=min(load.rate, _HERD_RATE / way.clients),
            largest=max(load.smallest, min(load.largest, 1024)),
        )
        return dataclasses.replace(plan, clients=way.clients, load=slow)
