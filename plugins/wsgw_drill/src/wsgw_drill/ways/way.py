"""What a way consists of, and what is expected of the gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto

from wsgw_core.api import PlayedBackend

from ..load_client import Load
from ..settings import Settings
from ..stage import Stage


class Bound(Enum):
    """What the median pause of a way must not exceed.

    NONE: it is told and not judged. DEATH: a backend's end is seen at once. SILENCE: a backend that
    is there and says nothing is found out by a ping that stays unanswered.
    """

    NONE = auto()
    DEATH = auto()
    SILENCE = auto()


@dataclass(frozen=True)
class Expectation:
    """What is expected beside that nothing is lost, reordered, skipped, corrupted, dropped.

    Attributes:
        unread: whether nothing may be acknowledged and unread; that needs prompt readers.
        answered: whether every message must be answered.
        moves: whether each session that a broken backend served must have moved.
        given_up: whether messages may be lost that the gateway has given up, and counted: those of
            clients that have closed, after `limits.close-timeout`.
        doubles: whether messages may be read twice.
        muted: whether a message of a client may wait for longer than `drain.step`.
        returns: whether a broken backend may go on later with what it had been sent.
        pause: the bound of the median pause.
    """

    unread: bool = True
    answered: bool = True
    moves: bool = True
    given_up: bool = False
    doubles: bool = True
    muted: bool = True
    returns: bool = False
    pause: Bound = Bound.NONE


@dataclass(frozen=True)
class Way:
    """One way to break things.

    Attributes:
        name: on the command line.
        summary: one line for users.
        go: starts the backends and clients of a round, and breaks them.
        expectation: see there.
        proxied: whether the backends stand behind proxies of the drill.
        clients: how many, where that is the point of the way.
        backends: how many it takes.
        failover: whether it takes that.
        replays: whether it takes a replay, which there is with at-least-once only.
        steered: whether it takes calls of the admin API.
        breaks: how often something is broken at most, where that takes long.
    """

    name: str
    summary: str
    go: Callable[[Stage], Awaitable[None]]
    expectation: Expectation = Expectation()
    proxied: bool = False
    clients: int | None = None
    backends: int = 2
    failover: bool = True
    replays: bool = False
    steered: bool = False
    breaks: int | None = None

    def obstacle(self, backends: int, settings: Settings, played: PlayedBackend) -> str | None:
        """Returns why a gateway with so many backends cannot be drilled so; None: it can."""
        if self.name not in played.ways:
            return "is not for backends of this kind"
        if self.backends > backends:
            return "needs two backends"
        if self.failover and not settings.failover:
            return "needs failover, which is off"
        if self.replays and settings.at_most_once:
            return "needs replays, which there are none of with at-most-once"
        if self.steered and not settings.steered:
            return "needs an admin API without TLS, of a gateway that the drill starts"
        return None


async def begin(stage: Stage, *options: str, load: Load | None = None) -> None:
    """Starts all backends, with these options of the played backend, and then the clients.

    These have the load of the plan, or another one.
    """
    for place in stage.places:
        await place.start(*options)
    await stage.start_clients(load)
