"""The gateway's own counters."""

from __future__ import annotations

from collections import Counter

from ..api import CloseCode, Histogram, Metrics
from ..api.tls import reload_counters
from .traffic import Traffic


class GatewayCounters:
    """What a gateway counts. Plain integers: whoever counts adds to `value`.

    What has labels, or is a duration, is an attribute of another type; `exposition` shows it.
    """

    def __init__(self, metrics: Metrics) -> None:  # noqa: PLR0915 - one a counter
        self.refusals: Counter[int] = Counter()  # handshakes by status
        self.closes: Counter[tuple[str, str]] = Counter()  # by side and code
        self.route_handshakes: Counter[str] = Counter()  # by the id of the route
        self.unassigned = Traffic()  # messages while their session has no backend
        self.dial_durations = Histogram()
        self.failover_durations = Histogram()
        self.loop_delays = Histogram()
        counter = metrics.counter
        self.sessions = counter("sessions", "Sessions opened.")
        self.log_lines_dropped = counter(
            "log_lines_dropped",
            "Log lines not written: stderr did not take them, or there were too many of one kind.",
        )
        self.handshakes_refused = counter("handshakes_refused", "Handshakes answered without 101.")
        self.handshakes_malformed = counter(
            "handshakes_malformed", "Handshakes refused because they were not valid."
        )
        self.handshakes_too_slow = counter(
            "handshakes_too_slow", "Handshakes refused because their head did not come in time."
        )
        self.heads_too_large = counter(
            "heads_too_large", "Handshakes refused for a head of too many bytes."
        )
        self.headers_too_many = counter(
            "headers_too_many", "Handshakes refused for too many headers."
        )
        self.origins_refused = counter(
            "origins_refused", "Handshakes refused for an origin that is not allowed."
        )
        self.refused_max_sessions = counter(
            "refused_max_sessions", "Handshakes refused for `limits.max-sessions`."
        )
        self.refused_max_sessions_per_address = counter(
            "refused_max_sessions_per_address",
            "Handshakes refused for `limits.max-sessions-per-address`.",
        )
        self.refused_max_handshakes_per_second = counter(
            "refused_max_handshakes_per_second",
            "Handshakes refused for `limits.max-handshakes-per-second`.",
        )
        self.refused_memory = counter("refused_memory", "Handshakes refused for `limits.memory`.")
        self.memory_holds = counter(
            "memory_holds", "Times a client was not read for a while for `limits.memory`."
        )
        self.handshakes_unrouted = counter(
            "handshakes_unrouted", "Handshakes refused with 404 since no route is for them."
        )
        self.accept_pauses = counter(
            "accept_pauses", "Times no client was accepted for a while, for want of room."
        )
        self.admin_accept_pauses = counter(
            "admin_accept_pauses", "Times no operator was accepted for a while, for want of room."
        )
        self.admin_calls_denied = counter(
            "admin_calls_denied", "Calls of operators without the right to them, or from elsewhere."
        )
        self.admin_connections_dropped = counter(
            "admin_connections_dropped",
            "Connections of operators dropped: too long without a request, too many bytes, or the"
            " longest idle or busy one when there was no room for another.",
        )
        self.handshakes_abandoned = counter(
            "handshakes_abandoned", "Clients that left before they were answered."
        )
        self.idle_clients_closed = counter(
            "idle_clients_closed", "Clients closed for `limits.client-idle-timeout`."
        )
        self.old_sessions_closed = counter(
            "old_sessions_closed", "Clients closed for `limits.max-session-life`."
        )
        self.slow_clients_closed = counter(
            "slow_clients_closed",
            "Clients closed for `limits.slow-client-timeout`, or by a backend that has no room for"
            " their replies.",
        )
        self.mutual_blocks = counter(
            "mutual_blocks",
            "Of the slow clients, those that were not read either, for their backend's sake.",
        )
        self.dead_clients_dropped = counter(
            "dead_clients_dropped",
            "Clients that did not answer a ping within `server.frontend.ping-timeout`.",
        )
        self.tls_handshakes_failed = counter(
            "tls_handshakes_failed", "Clients whose TLS handshake failed or was broken off."
        )
        self.tls_reloads, self.tls_reload_errors = reload_counters(metrics)
        self.probes_failed = counter("probes_failed", "Health checks that a backend did not pass.")
        self.dials_succeeded = counter("dials_succeeded", "Dials that gave a connection.")
        self.dials_failed = counter("dials_failed", "Dials of a backend that was unavailable.")
        self.local_dial_errors = counter(
            "local_dial_errors",
            "Dials that failed for want of the gateway's own: descriptors, ports, memory, or the"
            " lookup of a name.",
        )
        self.dials_given_up = counter(
            "dials_given_up",
            "Dials given up for another backend: theirs tripped, was found unhealthy or taken out"
            " meanwhile, had just been lost when another one was usable again, or was the slower"
            " of two.",
        )
        self.dials_hedged = counter(
            "dials_hedged",
            "Dials begun beside another one whose backend was silent for `failover.hedge-after`.",
        )
        self.dials_scouting = counter(
            "dials_scouting",
            "Dials by which one of the clients that wait looked for a backend that is away.",
        )
        self.searches_timed_out = counter(
            "searches_timed_out",
            "Handshakes answered 504: no backend was found within `failover.search-timeout`.",
        )
        self.policy_faults = counter(
            "policy_faults", "Faults of policies: backends took turns instead."
        )
        self.dials_declined = counter("dials_declined", "Dials that a backend declined.")
        self.resolutions_failed = counter(
            "resolutions_failed", "Looks at the addresses of a backend's name that failed."
        )
        self.name_lookups = counter("name_lookups", "Lookups of names that gave addresses.")
        self.name_lookups_failed = counter(
            "name_lookups_failed", "Lookups of names that failed or could not be made."
        )
        self.name_lookups_late = counter(
            "name_lookups_late",
            "Dials that did not wait any longer for the lookup of a name without known addresses.",
        )
        self.stale_addresses_used = counter(
            "stale_addresses_used",
            "Dials by the last known addresses of a name, since there was no new answer.",
        )
        self.failovers = counter("failovers", "Backends lost or left by sessions.")
        self.moves = counter("moves", "Sessions that left a backend as planned.")
        self.failbacks = counter(
            "failbacks",
            "Of the moves, those back to a backend of a lower priority number, for"
            " `upstream.failback`.",
        )
        self.moves_called_off = counter(
            "moves_called_off",
            "Moves given up: no other backend took the session, or the drain was called off.",
        )
        self.hydrations = counter("hydrations", "New backends that valves began to prepare.")
        self.hydrations_failed = counter(
            "hydrations_failed",
            "Of these, those that refused, did not answer within `failover.hydration-timeout`, or"
            " ended the connection meanwhile.",
        )
        self.poisoned = counter(
            "poisoned_sessions",
            "Sessions ended for a message or a hydration that had ended several backends.",
        )
        self.replayed = counter("replayed_messages", "Messages sent again to another backend.")
        self.holds_expired = counter("holds_expired", "Sessions ended for want of a backend.")
        self.undelivered = counter(
            "undelivered_messages", "Messages of ended sessions that no backend acknowledged."
        )
        self.read_pauses = counter("read_pauses", "Times a client was not read for a while.")
        self.replies_expired = counter(
            "replies_expired", "Messages whose awaited reply did not come in time."
        )
        self.valve_discards = counter("valve_discards", "Messages discarded by valves.")
        self.valve_errors = counter("valve_errors", "Faults in valves.")
        self.unread_gauges = counter("unread_gauges", "Gauges of plugins that could not be read.")
        self.listener_errors = counter("listener_errors", "Faults in listeners.")
        self.violations = counter(
            "client_violations", "Clients that broke the protocol or a limit of messages."
        )
        self.messages_too_big = counter(
            "messages_too_big", "Clients closed for a message longer than allowed."
        )
        self.messages_too_fragmented = counter(
            "messages_too_fragmented", "Clients closed for a message of too many fragments."
        )

    def count_close(self, side: str, code: int) -> None:
        """Count the end of a websocket.

        Args:
            side: who began it: `client`, `backend` or `gateway`.
            code: any; those that applications choose are counted together.
        """
        label = str(code) if code < 3000 else f"{code // 1000}xxx"
        self.closes[side, label] += 1

    def count_violation(self, code: int) -> None:
        """Count a client that was closed, with this code, for breaking the protocol or a limit."""
        self.violations.value += 1
        if code == CloseCode.TOO_BIG:
            self.messages_too_big.value += 1
        elif code == CloseCode.POLICY_VIOLATION:
            self.messages_too_fragmented.value += 1
