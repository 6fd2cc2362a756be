"""The gateway's own counters."""

from __future__ import annotations

from .api import Metrics


class GatewayCounters:
    """What a gateway counts. Plain integers: whoever counts adds to `value`."""

    def __init__(self, metrics: Metrics) -> None:
        counter = metrics.counter
        self.sessions = counter("sessions", "Sessions opened.")
        self.handshakes_refused = counter("handshakes_refused", "Handshakes answered without 101.")
        self.dials_succeeded = counter("dials_succeeded", "Dials that gave a connection.")
        self.dials_failed = counter("dials_failed", "Dials of a backend that was unavailable.")
        self.dials_declined = counter("dials_declined", "Dials that a backend declined.")
        self.failovers = counter("failovers", "Backends lost or left by sessions.")
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
