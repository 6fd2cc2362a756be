"""The gateway's own counters."""

from __future__ import annotations

import collections

from ..api import CloseCode, Counter, Histogram, Metrics
from ..api.tls import reload_counters
from .traffic import Traffic


def _counter(help_text: str, *, name: str = "") -> Counter:
    """Describes a counter of each gateway; its name is that of its attribute by default."""
    return Counter(name, help_text)


class GatewayCounters:
    """The counters of a gateway. They are plain integers: code adds to `value`.

    Counters with labels and durations have other types; `exposition` shows them.
    """

    sessions = _counter("Sessions opened.")
    log_lines_dropped = _counter(
        "Log lines dropped: stderr could not be written, or one kind was logged too often."
    )
    handshakes_refused = _counter("Handshakes answered without 101.")
    handshakes_malformed = _counter("Handshakes refused because they were malformed.")
    handshakes_too_slow = _counter("Handshakes refused because the request did not arrive in time.")
    heads_too_large = _counter("Handshakes refused because the request head was too large.")
    headers_too_many = _counter("Handshakes refused because of too many headers.")
    origins_refused = _counter("Handshakes refused because the origin is not allowed.")
    refused_max_sessions = _counter("Handshakes refused because of `limits.max-sessions`.")
    refused_max_sessions_per_address = _counter(
        "Handshakes refused because of `limits.max-sessions-per-address`."
    )
    refused_max_handshakes_per_second = _counter(
        "Handshakes refused because of `limits.max-handshakes-per-second`."
    )
    refused_memory = _counter("Handshakes refused because of `limits.memory`.")
    memory_holds = _counter("Times wsgw paused reading from a client because of `limits.memory`.")
    handshakes_unrouted = _counter("Handshakes refused with 404 because no route matched.")
    accept_pauses = _counter("Times wsgw paused accepting clients because resources were short.")
    admin_accept_pauses = _counter(
        "Times wsgw paused accepting admin connections because resources were short."
    )
    admin_calls_denied = _counter(
        "Admin calls denied: token, role, origin or Host header not accepted."
    )
    admin_connections_dropped = _counter(
        "Admin connections dropped: no request in time, too many bytes, or to make room for a"
        " newer connection."
    )
    handshakes_abandoned = _counter("Clients that left before the handshake was answered.")
    idle_clients_closed = _counter("Clients closed by `limits.client-idle-timeout`.")
    old_sessions_closed = _counter("Clients closed by `limits.max-session-life`.")
    slow_clients_closed = _counter(
        "Clients closed by `limits.slow-client-timeout`, or by a backend whose buffer for their"
        " replies is full."
    )
    mutual_blocks = _counter(
        "Slow clients whose own input was paused because their backend was slow."
    )
    dead_clients_dropped = _counter(
        "Clients dropped because no pong came within `server.frontend.ping-timeout`."
    )
    tls_handshakes_failed = _counter("TLS handshakes of clients that failed or were aborted.")
    probes_failed = _counter("Health checks that failed.")
    dials_succeeded = _counter("Dials that succeeded.")
    dials_failed = _counter("Dials that failed because the backend was unavailable.")
    local_dial_errors = _counter(
        "Dials that failed because the gateway lacked descriptors, ports, memory or a name lookup."
    )
    dials_given_up = _counter(
        "Dials cancelled because another backend was better: theirs tripped, became unhealthy,"
        " was disabled or removed, had just been lost, or was the slower of two."
    )
    dials_hedged = _counter(
        "Second dials in parallel to a backend that was silent for `failover.hedge-after`."
    )
    dials_scouting = _counter(
        "Dials that checked, for all waiting clients, whether a backend is back."
    )
    searches_timed_out = _counter(
        "Handshakes answered 504: no backend was found within `failover.search-timeout`."
    )
    policy_faults = _counter("Errors raised by policies; backends took turns instead.")
    dials_declined = _counter("Dials that a backend declined with a status from 300 to 499.")
    resolutions_failed = _counter("Lookups of a backend's DNS name (`dns+ws://`) that failed.")
    name_lookups = _counter("Name lookups that returned addresses.")
    name_lookups_failed = _counter("Name lookups that failed.")
    name_lookups_late = _counter(
        "Dials that failed because the lookup of a new name took too long."
    )
    stale_addresses_used = _counter(
        "Dials to the last known addresses of a name because a lookup failed or was too slow."
    )
    failovers = _counter("Times a session lost or left its backend and needed another.")
    moves = _counter("Planned moves of sessions to another backend.")
    failbacks = _counter(
        "Planned moves back to a backend with a lower priority number (`upstream.failback`)."
    )
    moves_called_off = _counter(
        "Planned moves cancelled: no other backend took the session, or the drain was stopped."
    )
    hydrations = _counter("Hydrations that valves started on a new backend.")
    hydrations_failed = _counter(
        "Hydrations that failed: the backend refused, did not answer within"
        " `failover.hydration-timeout`, or closed the connection."
    )
    hydrations_refused = _counter("Of the failed hydrations, those that the backend refused.")
    poisoned = _counter(
        "Sessions closed because several backends died with the same message or hydration in"
        " flight.",
        name="poisoned_sessions",
    )
    replayed = _counter("Messages replayed to another backend.", name="replayed_messages")
    holds_expired = _counter("Sessions closed because no backend was found within `failover.hold`.")
    undelivered = _counter(
        "Messages that no backend had acknowledged when their session ended.",
        name="undelivered_messages",
    )
    read_pauses = _counter("Times wsgw paused reading from a client.")
    replies_expired = _counter("Messages whose expected reply did not arrive in time.")
    valve_discards = _counter("Messages discarded by valves.")
    valve_errors = _counter("Errors raised by valves.")
    unread_gauges = _counter("Failed reads of plugin gauges.")
    listener_errors = _counter("Errors raised by listeners.")
    violations = _counter(
        "Clients closed because they broke the protocol or a message limit.",
        name="client_violations",
    )
    messages_too_big = _counter("Clients closed by `limits.max-message-size`.")
    messages_too_fragmented = _counter("Clients closed by `limits.max-fragments`.")

    def __init__(self, metrics: Metrics) -> None:
        for attribute, described in vars(GatewayCounters).items():
            if isinstance(described, Counter):
                name = described.name or attribute
                setattr(self, attribute, metrics.counter(name, described.help))
        self.tls_reloads, self.tls_reload_errors = reload_counters(metrics)
        self.refusals = collections.Counter[int]()  # handshakes by status
        self.closes = collections.Counter[tuple[str, str]]()  # by side and code
        self.route_handshakes = collections.Counter[str]()  # by the id of the route
        self.unassigned = Traffic()  # messages while their session has no backend
        self.dial_durations = Histogram()
        self.failover_durations = Histogram()
        self.hydration_durations = Histogram()
        self.loop_delays = Histogram()

    def count_close(self, side: str, code: int) -> None:
        """Counts the end of a websocket.

        Args:
            side: the side that closed: `client`, `backend` or `gateway`.
            code: the close code; codes chosen by applications are counted together.
        """
        label = str(code) if code < 3000 else f"{code // 1000}xxx"
        self.closes[side, label] += 1

    def count_violation(self, code: int) -> None:
        """Counts a client closed with this code because it broke the protocol or a limit."""
        self.violations.value += 1
        if code == CloseCode.TOO_BIG:
            self.messages_too_big.value += 1
        elif code == CloseCode.POLICY_VIOLATION:
            self.messages_too_fragmented.value += 1
