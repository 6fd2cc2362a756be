"""The backends and clients of one round of a way."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from .gateway_process import DrilledGateway
from .history import Sent, Verdict, judge, read_logs
from .load_client import Load, LoadClient, Refused
from .place import Place
from .progress_timeout import ProgressTimeout
from .settings import Settings

TIMEOUT = 60.0
_LOOK_AGAIN = 0.1
_AT_A_TIME = 100  # handshakes of clients
_SETTLED = 1.0  # seconds after which the gateway must have dropped what it still had
_IN_STORE = 2_000  # maximum unanswered messages of all clients together, with a broker
_rounds = itertools.count(1)


class Stuck(Exception):
    """A required condition did not come true in time."""


@dataclass(frozen=True)
class Plan:
    """The extent of a round.

    Attributes:
        clients: number of clients.
        load: of each client.
        breaks: number of breaks.
        calm: seconds of undisturbed load before each break.
        away: seconds for which all backends are down.
    """

    clients: int
    load: Load
    breaks: int = 3
    calm: float = 1.5
    away: float = 1.5


class Stage:
    """The backends and clients of a round.

    Args:
        gateway: the drilled gateway.
        places: of its backends.
        plan: the extent of the round.
        settings: the gateway's.

    Attributes:
        clients: those whose messages must arrive.
        broken: breaks so far.
        moved: sessions on a backend when it was broken.
        undelivered: messages that the gateway counted as undelivered in this round; None: unknown.
        failures: failures that the way has found itself.
        refused: why the gateway refuses the clients; empty: it does not.
        notes: further facts for the report.
        waits: seconds from when a backend listened again to a client's next answer.
    """

    def __init__(
        self,
        gateway: DrilledGateway,
        places: list[Place],
        plan: Plan,
        settings: Settings,
    ) -> None:
        self.gateway = gateway
        self.places = places
        self.plan = plan
        self.settings = settings
        self.clients: list[LoadClient] = []
        self.broken = 0
        self.moved = 0
        self.undelivered: int | None = None
        self.failures: list[str] = []
        self.refused = ""
        self.notes: list[str] = []
        self.waits: list[float] = []
        self._round = next(_rounds)
        self._numbers = itertools.count()
        self._running: list[asyncio.Task[None]] = []
        self._rude: list[asyncio.Task[None]] = []

    # Clients

    def make_client(self, kind: str, load: Load | None = None) -> LoadClient:
        """Returns a new client, not yet in `clients`."""
        return LoadClient(f"{kind}{self._round}.{next(self._numbers)}", load or self.plan.load)

    async def start_clients(self, load: Load | None = None) -> None:
        """Starts clients that send at a steady rate, and waits until all are served.

        Without `load` they have that of the plan.
        """
        load = load or self._steady_load()
        for _ in range(self.plan.clients):
            self.clients.append(self.make_client("c", load))
            self._start(self.clients[-1])
            if len(self.clients) % _AT_A_TIME == 0:
                await self.until(self._connected, "every client is connected")
        await self.all_are_served()

    def let(self, rude: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs a client in the background, at most until the end of the round."""
        self._rude.append(asyncio.create_task(rude))
        return self._rude[-1]

    async def all_are_served(self) -> None:
        """Waits until each client has an answer to a message that it sends from now on.

        Raises:
            Stuck: not all had one in time.
        """
        marks = {client: client.record.sent for client in self.clients}
        await self.until_served(lambda client: client.served_since(marks[client]))

    async def until_served(self, is_served: Callable[[LoadClient], bool]) -> None:
        """Waits until each client that is still connected is served.

        Answers to other clients do not extend the wait for a client without answers.

        Args:
            is_served: called for a client until it returns True.

        Raises:
            Stuck: the unserved clients got no answers in time.
        """
        waiting = set(self.clients)

        def all_are() -> bool:
            self._raise_faults()
            served = {each for each in waiting if is_served(each) or each.record.dropped}
            waiting.difference_update(served)
            return not waiting

        try:
            await self.until(
                all_are,
                "every client is served",
                progress=lambda: sum(client.answers for client in waiting),
            )
        except Stuck as stuck:
            raise Stuck(f"{stuck}; {len(waiting)} of {len(self.clients)} are not") from None

    def busiest(self) -> Place:
        """Returns the backend that serves most clients."""
        serving = Counter(client.place for client in self.clients)
        return max(self.places, key=lambda place: (serving[place.name], place.alive))

    def other(self, place: Place) -> Place:
        """Returns the backend that serves most clients besides this one."""
        serving = Counter(client.place for client in self.clients)
        others = [each for each in self.places if each is not place]
        return max(others, key=lambda each: (serving[each.name], each.alive))

    # Breaks

    async def breaks(self) -> AsyncIterator[int]:
        """Yields the number of each break, after the calm before it."""
        for number in range(self.plan.breaks):
            await asyncio.sleep(self.plan.calm)
            yield number

    def breaking(self, *places: Place) -> None:
        """Counts a break of these backends, and the sessions that must move."""
        names = {place.name for place in places}
        self.broken += 1
        self.moved += sum(client.place in names for client in self.clients)

    async def until(
        self,
        condition: Callable[[], bool],
        what: str,
        seconds: float = TIMEOUT,
        progress: Callable[[], int] | None = None,
    ) -> None:
        """Waits for a condition.

        Args:
            condition: whether it has happened.
            what: the condition, for errors.
            seconds: the timeout.
            progress: with a broker, see ProgressTimeout; None: the size of the logs.

        Raises:
            Stuck: it does not come true in time.
        """
        waiting = self._progress_timeout(seconds, progress)
        while not condition():  # there is no event to wait for
            if waiting.is_over():
                raise Stuck(f"waited {waiting.waited:.0f} s until {what}")
            await asyncio.sleep(0.01)

    # The end

    async def finish(self, *, answered: bool) -> Verdict:
        """Stops the clients, waits for their answers, and returns the verdict; raises Refused.

        Args:
            answered: whether every message must be answered.
        """
        for client in self.clients:
            client.stop_sending()
        if self._running:
            await _cancel(await self._late(answered=answered))  # the verdict shows it
        for task in self._finished():
            if isinstance(fault := task.exception(), Refused):
                raise fault
        return self.verdict()

    async def settled(self, satisfied: Callable[[Verdict], bool]) -> Verdict:
        """Waits for a satisfying verdict, or until nothing can arrive any more; returns it."""
        size, since = -1, time.monotonic()
        judged = -1
        while True:
            now, before = time.monotonic(), size
            size = self._logged()
            if size != before:
                since = now
            elif size != judged:
                judged = size
                if satisfied(verdict := self.verdict()):
                    return verdict
            if now - since > self.settings.close_timeout + _SETTLED:
                return self.verdict()
            await asyncio.sleep(0.1)

    def verdict(self) -> Verdict:
        """Returns the verdict on the current records."""
        readings = read_logs(place.log for place in self.places)
        settings = self.settings
        return judge(self.records, readings, settings.replay_window, settings.close_timeout)

    @property
    def records(self) -> list[Sent]:
        """The clients' records."""
        return [client.record for client in self.clients]

    async def clear(self) -> None:
        """Ends all clients and backends."""
        await _cancel([*self._running, *self._rude])
        await asyncio.gather(*(place.clear() for place in self.places))

    # Inside

    def _steady_load(self) -> Load:
        """Returns the plan's load, limited with a broker to what its worker reads in seconds.

        A broker takes more than its worker can read, and every client would wait.
        """
        load = self.plan.load
        if self.settings.ahead is None:
            return load
        share = max(1, _IN_STORE // self.plan.clients)
        return dataclasses.replace(load, ahead=min(self.settings.ahead, share))

    def _progress_timeout(
        self, seconds: float, progress: Callable[[], int] | None = None
    ) -> ProgressTimeout:
        """Returns how long to wait from now on: longer while a broker's worker makes progress."""
        has_store = self.settings.ahead is not None
        return ProgressTimeout(seconds, (progress or self._logged) if has_store else None)

    def _logged(self) -> int:
        return sum(place.logged for place in self.places)

    async def _late(self, *, answered: bool) -> set[asyncio.Task[None]]:
        """Waits for the clients' answers; returns the tasks of clients without all answers."""
        if answered and not self.settings.at_most_once:
            late, timeout = set(self._running), self._progress_timeout(TIMEOUT)
            while late and not timeout.is_over():
                _, late = await asyncio.wait(late, timeout=_LOOK_AGAIN)
            return late
        waiting, answers, before = set(self._running), 0, -1
        while waiting and answers != before:  # not all answers arrive
            _, waiting = await asyncio.wait(waiting, timeout=self.settings.silence + _SETTLED)
            answers, before = sum(len(record.answered) for record in self.records), answers
        return waiting

    def _start(self, client: LoadClient) -> None:
        self._running.append(asyncio.create_task(client.run(self.gateway.url)))

    def _connected(self) -> bool:
        self._raise_faults()
        return all(client.connected for client in self.clients)

    def _raise_faults(self) -> None:
        for task in self._finished():
            task.result()

    def _finished(self) -> Iterator[asyncio.Task[None]]:
        return (task for task in self._running if task.done() and not task.cancelled())


async def _cancel(tasks: list[asyncio.Task[None]] | set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def open_stage(
    gateway: DrilledGateway, places: list[Place], plan: Plan, settings: Settings, *, proxied: bool
) -> AsyncIterator[Stage]:
    """Prepares a round, and ends its clients and backends at the end of the block."""
    stage = Stage(gateway, places, plan, settings)
    try:
        for place in places:
            await place.open(proxied=proxied)
        yield stage
    finally:
        await stage.clear()
