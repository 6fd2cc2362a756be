"""The gateway's own counters."""

from __future__ import annotations

from collections import Counter

from ..api import CloseCode, Histogram, Metrics
from ..api.tls import reload_counters
from .traffic import Traffic


class GatewayCounters:
    """The counters of a gateway. They are plain integers: code adds to `value`.

    Counters with labels and durations have other types; `exposition` shows them.
    """

    def __init__(self, metrics: Metrics) -> None:  # noqa: PLR0915 - one a counter
        self.refusals: Counter[int] = Counter()  # handshakes by status
        self.closes: Counter[tuple[str, str]] = Counter()  # by side and code
        self.route_handshakes: Counter[str] = Counter()  # by the id of the route
        self.unassigned = Traffic()  # messages while their session has no backend
        self.dial_durations = Histogram()
        self.failover_durations = Histogram()
        self.hydration_durations = Histogram()
        self.loop_delays = Histogram()
        counter = metrics.counter
        self.sessions = counter("sessions", "Sessions opened.")
        self.log_lines_dropped = counter(
            "log_lines_dropped",
            "Log lines dropped: stderr could not be written, or one kind was logged too often.",
        )
        self.handshakes_refused = counter("handshakes_refused", "Handshakes answered without 101.")
        self.handshakes_malformed = counter(
            "handshakes_malformed", "Handshakes refused because they were malformed."
        )
        self.handshakes_too_slow = counter(
            "handshakes_too_slow", "Handshakes refused because the request did not arrive in time."
        )
        self.heads_too_large = counter(
            "heads_too_large", "Handshakes refused because the request head was too large."
        )
        self.headers_too_many = counter(
            "headers_too_many", "Handshakes refused because of too many headers."
        )
        self.origins_refused = counter(
            "origins_refused", "Handshakes refused because the origin is not allowed."
        )
        self.refused_max_sessions = counter(
            "refused_max_sessions", "Handshakes refused because of `limits.max-sessions`."
        )
        self.refused_max_sessions_per_address = counter(
            "refused_max_sessions_per_address",
            "Handshakes refused because of `limits.max-sessions-per-address`.",
        )
        self.refused_max_handshakes_per_second = counter(
            "refused_max_handshakes_per_second",
            "Handshakes refused because of `limits.max-handshakes-per-second`.",
        )
        self.refused_memory = counter(
            "refused_memory", "Handshakes refused because of `limits.memory`."
        )
        self.memory_holds = counter(
            "memory_holds", "Times wsgw paused reading from a client because of `limits.memory`."
        )
        self.handshakes_unrouted = counter(
            "handshakes_unrouted", "Handshakes refused with 404 because no route matched."
        )
        self.accept_pauses = counter(
            "accept_pauses", "Times wsgw paused accepting clients because resources were short."
        )
        self.admin_accept_pauses = counter(
            "admin_accept_pauses",
            "Times wsgw paused accepting admin connections because resources were short.",
        )
        self.admin_calls_denied = counter(
            "admin_calls_denied",
            "Admin calls denied: token, role, origin or Host header not accepted.",
        )
        self.admin_connections_dropped = counter(
            "admin_connections_dropped",
            "Admin connections dropped: no request in time, too many bytes, or to make room for a"
            " newer connection.",
        )
        self.handshakes_abandoned = counter(
            "handshakes_abandoned", "Clients that left before the handshake was answered."
        )
        self.idle_clients_closed = counter(
            "idle_clients_closed", "Clients closed by `limits.client-idle-timeout`."
        )
        self.old_sessions_closed = counter(
            "old_sessions_closed", "Clients closed by `limits.max-session-life`."
        )
        self.slow_clients_closed = counter(
            "slow_clients_closed",
            "Clients closed by `limits.slow-client-timeout`, or by a backend whose buffer for their"
            " replies is full.",
        )
        self.mutual_blocks = counter(
            "mutual_blocks",
            "Slow clients whose own input was paused because their backend was slow.",
        )
        self.dead_clients_dropped = counter(
            "dead_clients_dropped",
            "Clients dropped because no pong came within `server.frontend.ping-timeout`.",
        )
        self.tls_handshakes_failed = counter(
            "tls_handshakes_failed", "TLS handshakes of clients that failed or were aborted."
        )
        self.tls_reloads, self.tls_reload_errors = reload_counters(metrics)
        self.probes_failed = counter("probes_failed", "Health checks that failed.")
        self.dials_succeeded = counter("dials_succeeded", "Dials that succeeded.")
        self.dials_failed = counter(
            "dials_failed", "Dials that failed because the backend was unavailable."
        )
        self.local_dial_errors = counter(
            "local_dial_errors",
            "Dials that failed because the gateway lacked descriptors, ports, memory or a name"
            " lookup.",
        )
        self.dials_given_up = counter(
            "dials_given_up",
            "Dials cancelled because another backend was better: theirs tripped, became unhealthy,"
            " was disabled or removed, had just been lost, or was the slower of two.",
        )
        self.dials_hedged = counter(
            "dials_hedged",
            "Second dials in parallel to a backend that was silent for `failover.hedge-after`.",
        )
        self.dials_scouting = counter(
            "dials_scouting",
            "Dials that checked, for all waiting clients, whether a backend is back.",
        )
        self.searches_timed_out = counter(
            "searches_timed_out",
            "Handshakes answered 504: no backend was found within `failover.search-timeout`.",
        )
        self.policy_faults = counter(
            "policy_faults", "Errors raised by policies; backends took turns instead."
        )
        self.dials_declined = counter(
            "dials_declined", "Dials that a backend declined with a status from 300 to 499."
        )
        self.resolutions_failed = counter(
            "resolutions_failed", "Lookups of a backend's DNS name (`dns+ws://`) that failed."
        )
        self.name_lookups = counter("name_lookups", "Name lookups that returned addresses.")
        self.name_lookups_failed = counter("name_lookups_failed", "Name lookups that failed.")
        self.name_lookups_late = counter(
            "name_lookups_late",
            "Dials that failed because the lookup of a new name took too long.",
        )
        self.stale_addresses_used = counter(
            "stale_addresses_used",
            "Dials to the last known addresses of a name because a lookup failed or was too slow.",
        )
        self.failovers = counter("failovers", "Times a session lost or left its backend.")
        self.moves = counter("moves", "Planned moves of sessions to another backend.")
        self.failbacks = counter(
            "failbacks",
            "Planned moves back to a backend with a lower priority number (`upstream.failback`).",
        )
        self.moves_called_off = counter(
            "moves_called_off",
            "Planned moves cancelled: no other backend took the session, or the drain was stopped.",
        )
        self.hydrations = counter("hydrations", "Hydrations that valves started on a new backend.")
        self.hydrations_failed = counter(
            "hydrations_failed",
            "Hydrations that failed: the backend refused, did not answer within"
            " `failover.hydration-timeout`, or closed the connection.",
        )
        self.hydrations_refused = counter(
            "hydrations_refused", "Of the failed hydrations, those that the backend refused."
        )
        self.poisoned = counter(
            "poisoned_sessions",
            "Sessions closed because several backends died with the same message or hydration in"
            " flight.",
        )
        self.replayed = counter("replayed_messages", "Messages replayed to another backend.")
        self.holds_expired = counter(
            "holds_expired", "Sessions closed because no backend was found within `failover.hold`."
        )
        self.undelivered = counter(
            "undelivered_messages",
            "Messages that no backend had acknowledged when their session ended.",
        )
        self.read_pauses = counter("read_pauses", "Times wsgw paused reading from a client.")
        self.replies_expired = counter(
            "replies_expired", "Messages whose expected reply did not arrive in time."
        )
        self.valve_discards = counter("valve_discards", "Messages discarded by valves.")
        self.valve_errors = counter("valve_errors", "Errors raised by valves.")
        self.unread_gauges = counter("unread_gauges", "Failed reads of plugin gauges.")
        self.listener_errors = counter("listener_errors", "Errors raised by listeners.")
        self.violations = counter(
            "client_violations",
            "Clients closed because they broke the protocol or a message limit.",
        )
        self.messages_too_big = counter(
            "messages_too_big", "Clients closed by `limits.max-message-size`."
        )
        self.messages_too_fragmented = counter(
            "messages_too_fragmented", "Clients closed by `limits.max-fragments`."
        )

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
