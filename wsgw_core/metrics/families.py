"""The table of metrics that have labels or are not counters."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Family(NamedTuple):
    """One metric with its labels.

    Attributes:
        name: the full name; for a counter without `_total`.
        kind: the type in Prometheus.
        help: one sentence.
        labels: the labels; each has a bounded number of values.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


BUILD = Family(
    "wsgw_build_info",
    "gauge",
    "Versions of wsgw and Python; the value is always 1.",
    ("version", "python"),
)
SESSIONS = Family("wsgw_open_sessions", "gauge", "Sessions by their state.", ("state",))
LEDGER_MESSAGES = Family(
    "wsgw_ledger_messages", "gauge", "Messages that no backend has acknowledged yet."
)
LEDGER_BYTES = Family("wsgw_ledger_bytes", "gauge", "Bytes of these messages.")
MEMORY = Family(
    "wsgw_memory_bytes", "gauge", "Bytes that sessions hold and that `limits.memory` limits."
)
MEMORY_LIMIT = Family("wsgw_memory_limit_bytes", "gauge", "The effective `limits.memory`.")
MEMORY_HELD = Family(
    "wsgw_memory_held_clients", "gauge", "Clients whose input is paused because of `limits.memory`."
)
UNREAD = Family("wsgw_unread_clients", "gauge", "Clients whose input is paused.")
HANDSHAKES = Family(
    "wsgw_handshakes", "counter", "Opening handshakes by the status of the answer.", ("status",)
)
ROUTE_SESSIONS = Family("wsgw_route_sessions", "gauge", "Sessions by their route.", ("route",))
ROUTE_HANDSHAKES = Family(
    "wsgw_route_handshakes",
    "counter",
    "Opening handshakes that matched a route, whatever the answer.",
    ("route",),
)
ROUTE_SERVED = Family(
    "wsgw_route_served",
    "gauge",
    "1 if the route has a backend that is enabled, healthy, not tripped and not down.",
    ("route",),
)
DIALS = Family("wsgw_dial_duration_seconds", "histogram", "Time of successful dials.")
WAITING_DIALS = Family(
    "wsgw_waiting_dials", "gauge", "Dials that wait for other dials to the same backend."
)
FAILOVERS = Family(
    "wsgw_failover_duration_seconds",
    "histogram",
    "Time from the loss of a backend until another backend served the session.",
)
HYDRATIONS = Family(
    "wsgw_hydration_duration_seconds",
    "histogram",
    "Time from the connection to a new backend until valves had prepared it.",
)
HYDRATING = Family(
    "wsgw_hydrating_sessions", "gauge", "Sessions whose new backend valves prepare now."
)
LOOP_DELAY = Family(
    "wsgw_event_loop_delay_seconds", "histogram", "Delay of a timer on the event loop."
)
MESSAGES = Family("wsgw_messages", "counter", "Messages relayed.", ("direction",))
MESSAGE_BYTES = Family(
    "wsgw_message_bytes", "counter", "Bytes of the messages relayed.", ("direction",)
)
MESSAGE_SIZES = Family(
    "wsgw_message_size_bytes", "histogram", "Size of messages relayed.", ("direction",)
)
CLOSES = Family(
    "wsgw_closes",
    "counter",
    "Websockets closed, by the side that closed and the close code.",
    ("side", "code"),
)
CONNECTIONS = Family(
    "wsgw_backend_connections", "gauge", "Open connections of sessions.", ("backend",)
)
CONNECTED = Family(
    "wsgw_backend_connections_opened", "counter", "Connections opened.", ("backend",)
)
FAILURES = Family(
    "wsgw_backend_failures",
    "counter",
    "Dials that failed and connections lost immediately.",
    ("backend",),
)
ENABLED = Family(
    "wsgw_backend_enabled", "gauge", "1 if the backend gets new sessions.", ("backend",)
)
HEALTHY = Family("wsgw_backend_healthy", "gauge", "1 if the last probes succeeded.", ("backend",))
TRIPPED = Family(
    "wsgw_backend_breaker_tripped",
    "gauge",
    "1 while the breaker keeps sessions away.",
    ("backend",),
)
TRIPS = Family(
    "wsgw_backend_breaker_trips", "counter", "Times the breaker has tripped.", ("backend",)
)
AWAY = Family(
    "wsgw_backend_away",
    "gauge",
    "1 after a dial or a connection has failed, until the backend answers a dial.",
    ("backend",),
)
DOWN = Family(
    "wsgw_backend_down",
    "gauge",
    "1 while the backend reports itself down; wsgw dials it only for occasional probes.",
    ("backend",),
)
BLOCKED = Family(
    "wsgw_backend_blocked",
    "gauge",
    "1 while the backend reports that it accepts nothing; wsgw does not read from its clients.",
    ("backend",),
)
LOSSES = Family(
    "wsgw_backend_losses",
    "counter",
    "Times the backend has lost all of its connections at once.",
    ("backend",),
)
PAUSED = Family(
    "wsgw_frontend_paused", "gauge", "1 while the frontend refuses new clients.", ("frontend",)
)

FAMILIES = tuple(value for value in dict(globals()).values() if isinstance(value, Family))

# wsbalancer's metrics; shown if `server.enable-instrumentation` is true.
NEW_SESSION = Family(
    "wsbalancer_new_session", "counter", "Sessions opened.", ("frontend", "backend")
)
ACTIVE_SESSIONS = Family(
    "wsbalancer_active_sessions", "gauge", "Open sessions.", ("frontend", "backend")
)
MESSAGE_SIZE = Family(
    "wsbalancer_message_size",
    "histogram",
    "Size of messages in bytes.",
    ("direction", "frontend", "backend"),
)
WSBALANCERS = (NEW_SESSION, ACTIVE_SESSIONS, MESSAGE_SIZE)
