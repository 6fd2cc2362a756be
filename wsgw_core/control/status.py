"""The status of a gateway and its parts, with secrets masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """A gateway as a whole.

    Attributes:
        version: of wsgw.
        obstacles: why the gateway is not ready for clients; empty: it is ready. A backend that
            has tripped or is down is no obstacle, because only the next client's dial shows
            whether it is back.
        unserved_routes: the ids of the routes without a usable backend. The gateway can be ready
            nevertheless.
        sessions: how many there are.
    """

    version: str
    obstacles: tuple[str, ...]
    unserved_routes: tuple[str, ...]
    sessions: int


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """One backend that sessions can use.

    Attributes:
        id: for operators, unique in the gateway.
        kind: of its plugin.
        url: of its entry; empty where it has none.
        group: the id of the route whose backends it belongs to; empty: for all other routes.
        discovered_by: the id of the entry by whose name it was found; empty: by none.
        priority, weight: of its entry.
        enabled: whether it gets new sessions.
        healthy: what the last probes have found.
        tripped: whether its breaker keeps sessions away.
        away: whether a dial or a connection to it has failed, and it has answered no dial since.
        down: why it is down by its own account; empty: it is not.
        connections, connections_opened: of sessions, now and ever.
        failures: dials that failed, and connections lost at once.
    """

    id: str
    kind: str
    url: str
    group: str
    discovered_by: str
    priority: int
    weight: int
    enabled: bool
    healthy: bool
    tripped: bool
    away: bool
    down: str
    connections: int
    connections_opened: int
    failures: int


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """The configuration of a backend, or of all backends of a DNS name.

    Attributes:
        id, kind, url, group, priority, weight: see BackendStatus.
        breaker_threshold: failures in a row after which it is skipped; negative: never.
        options: the keys of its kind.
        durations: the key paths in `options` whose numbers are seconds.
    """

    id: str
    kind: str
    url: str
    group: str
    priority: int
    weight: int
    breaker_threshold: int
    options: Mapping[str, Any]
    durations: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """One session.

    Attributes:
        id: unguessable and never reused.
        client: the client's address.
        target: path and query of its request, in one line of bounded length.
        route: the id of its route; empty where the gateway has none.
        backend: the id of the backend that serves it; empty while there is none.
        state: as in the table of states.
        hydrating: whether valves prepare its new backend, which gets nothing else meanwhile.
        reconnects: how often it has changed its backend.
        messages_received, messages_sent: from its client, and to it.
    """

    id: str
    client: str
    target: str
    route: str
    backend: str
    state: str
    hydrating: bool
    reconnects: int
    messages_received: int
    messages_sent: int


@dataclass(frozen=True, slots=True)
class FrontendStatus:
    """One frontend, at which clients connect.

    Attributes:
        id: for operators.
        addresses: where it listens.
        paused: whether new clients are answered with 503.
    """

    id: str
    addresses: tuple[str, ...]
    paused: bool


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """One route. A gateway without routes has a single one, without an id, for all clients.

    Attributes:
        id: for operators.
        group: the route whose backends it has; empty: those of `upstream.backends`.
        served: whether one of these backends is usable.
    """

    id: str
    group: str
    served: bool


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One kind that a plugin provides and the configuration can use.

    Attributes:
        role: backend, valve, listener, gate or policy.
        kind: its name in the configuration.
        schemes: of URLs that stand for it, beside its own name.
    """

    role: str
    kind: str
    schemes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConfigurationStatus:
    """The configuration in effect.

    Attributes:
        number: of the configurations that there were since the start, from 1.
        settings: all keys with their values, defaults included.
    """

    number: int
    settings: Mapping[str, Any]
