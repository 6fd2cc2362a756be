"""The parts of a way, and what it expects of the gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto

from wsgw_core.api import PlayedBackend

from ..load_client import Load
from ..place import Place
from ..settings import Settings
from ..stage import Stage
from ..tcp_proxy import TcpProxy


class Bound(Enum):
    """The limit of the median pause of a way.

    NONE: the pause is reported, without a limit. DEATH: wsgw sees a backend's end at once. SILENCE:
    wsgw detects a silent backend by a ping timeout.
    """

    NONE = auto()
    DEATH = auto()
    SILENCE = auto()


@dataclass(frozen=True)
class Expectation:
    """What a way expects, besides that no message is lost, reordered, skipped or corrupted.

    Attributes:
        unread: whether no message may be acknowledged and unread; needs fast readers.
        answered: whether every message must be answered.
        moves: whether each session on a broken backend must have moved.
        given_up: whether the gateway may drop and count messages of clients that have closed, after
            `limits.close-timeout`.
        doubles: whether messages may be read twice.
        muted: whether a client's message may wait for longer than `drain.step`.
        returns: whether a broken backend may come back and handle the messages that it had.
        pause: the limit of the median pause.
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
        expectation: what the way expects.
        proxied: whether the backends are behind proxies of the drill.
        clients: number of clients, if the way needs a certain one.
        backends: minimum number of backends.
        failover: whether the way needs failover.
        replays: whether the way needs replays, which only at-least-once has.
        steered: whether the way needs the admin API.
        breaks: maximum number of breaks, for ways whose breaks take long.
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
        """Returns why the way is not possible with a gateway; None: it is."""
        if self.name not in played.ways:
            return "is not for backends of this kind"
        if self.backends > backends:
            return "needs two backends"
        if self.failover and not settings.failover:
            return "needs failover, which is off"
        if self.replays and settings.at_most_once:
            return "needs replays, which at-most-once does not have"
        if self.steered and not settings.steered:
            return "needs an admin API: with -c one without TLS, with --url that of --admin"
        return None


def proxy_of(place: Place) -> TcpProxy:
    """Returns the proxy in front of a backend, of a way with `proxied`."""
    if place.proxy is None:
        raise RuntimeError("the way is not declared with proxied=True")
    return place.proxy


async def begin(stage: Stage, *options: str, load: Load | None = None) -> None:
    """Starts all backends, with options of their processes, and then the clients.

    Without `load` the clients have that of the plan.
    """
    for place in stage.places:
        await place.start(*options)
    await stage.start_clients(load)
