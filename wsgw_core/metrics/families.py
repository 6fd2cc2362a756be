"""The metrics that are more than a counter without labels, as a table."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Family(NamedTuple):
    """One metric with its labels.

    Attributes:
        name: in full, a counter's without `_total`.
        kind: as Prometheus calls it.
        help: one sentence.
        labels: each has a bounded number of values.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


BUILD = Family("wsgw_build_info", "gauge", "What runs; always 1.", ("version", "python"))
SESSIONS = Family("wsgw_open_sessions", "gauge", "Sessions by their state.", ("state",))
LEDGER_MESSAGES = Family(
    "wsgw_ledger_messages", "gauge", "Messages that no backend has acknowledged yet."
)
LEDGER_BYTES = Family("wsgw_ledger_bytes", "gauge", "Bytes of these messages.")
MEMORY = Family("wsgw_memory_bytes", "gauge", "Bytes that `limits.memory` bounds.")
MEMORY_LIMIT = Family("wsgw_memory_limit_bytes", "gauge", "The bound, `limits.memory`.")
MEMORY_HELD = Family(
    "wsgw_memory_held_clients", "gauge", "Clients that are not read for `limits.memory`."
)
UNREAD = Family("wsgw_unread_clients", "gauge", "Clients that are not read for now.")
HANDSHAKES = Family(
    "wsgw_handshakes", "counter", "Opening handshakes by the status that was answered.", ("status",)
)
ROUTE_SESSIONS = Family("wsgw_route_sessions", "gauge", "Sessions by their route.", ("route",))
ROUTE_HANDSHAKES = Family(
    "wsgw_route_handshakes",
    "counter",
    "Opening handshakes that a route was for, whatever was answered.",
    ("route",),
)
ROUTE_SERVED = Family(
    "wsgw_route_served",
    "gauge",
    "Whether it has a backend that is enabled, healthy, not tripped and not down.",
    ("route",),
)
DIALS = Family(
    "wsgw_dial_duration_seconds", "histogram", "Time until a backend's connection was there."
)
WAITING_DIALS = Family(
    "wsgw_waiting_dials", "gauge", "Dials that wait for others of the same backend to end."
)
FAILOVERS = Family(
    "wsgw_failover_duration_seconds",
    "histogram",
    "Time from the loss of a backend until another one served.",
)
LOOP_DELAY = Family(
    "wsgw_event_loop_delay_seconds", "histogram", "How late the event loop was for a timer."
)
MESSAGES = Family("wsgw_messages", "counter", "Messages relayed.", ("direction",))
MESSAGE_BYTES = Family("wsgw_message_bytes", "counter", "Bytes of these.", ("direction",))
MESSAGE_SIZES = Family(
    "wsgw_message_size_bytes", "histogram", "Size of messages relayed.", ("direction",)
)
CLOSES = Family(
    "wsgw_closes",
    "counter",
    "Websockets closed, by who began it and the close code.",
    ("side", "code"),
)
CONNECTIONS = Family(
    "wsgw_backend_connections", "gauge", "Connections that sessions have now.", ("backend",)
)
CONNECTED = Family(
    "wsgw_backend_connections_opened", "counter", "Connections opened.", ("backend",)
)
FAILURES = Family(
    "wsgw_backend_failures",
    "counter",
    "Dials that failed and connections lost at once.",
    ("backend",),
)
ENABLED = Family("wsgw_backend_enabled", "gauge", "Whether it gets new sessions.", ("backend",))
HEALTHY = Family("wsgw_backend_healthy", "gauge", "What the last probes have found.", ("backend",))
TRIPPED = Family("wsgw_backend_breaker_tripped", "gauge", "Whether it is skipped.", ("backend",))
TRIPS = Family(
    "wsgw_backend_breaker_trips", "counter", "How often its breaker has tripped.", ("backend",)
)
DOWN = Family(
    "wsgw_backend_down",
    "gauge",
    "Whether it says that it is down: it is skipped, but for a probe now and then.",
    ("backend",),
)
BLOCKED = Family(
    "wsgw_backend_blocked",
    "gauge",
    "Whether it says that it takes nothing: its clients are not read.",
    ("backend",),
)
LOSSES = Family(
    "wsgw_backend_losses",
    "counter",
    "How often it has lost all of its connections at once.",
    ("backend",),
)
PAUSED = Family("wsgw_frontend_paused", "gauge", "Whether it sends clients away.", ("frontend",))

FAMILIES = tuple(value for value in dict(globals()).values() if isinstance(value, Family))

# Under their names in wsbalancer, shown when `server.enable-instrumentation` is set.
NEW_SESSION = Family(
    "wsbalancer_new_session", "counter", "Sessions begun.", ("frontend", "backend")
)
ACTIVE_SESSIONS = Family(
    "wsbalancer_active_sessions", "gauge", "Sessions now.", ("frontend", "backend")
)
MESSAGE_SIZE = Family(
    "wsbalancer_message_size",
    "histogram",
    "Size of messages in bytes.",
    ("direction", "frontend", "backend"),
)
WSBALANCERS = (NEW_SESSION, ACTIVE_SESSIONS, MESSAGE_SIZE)
