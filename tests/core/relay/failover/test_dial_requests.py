"""The request of each dial of a session."""

from __future__ import annotations

from wsgw_core.api import Handshake
from wsgw_core.relay.failover.dial_requests import DialRequests


def test_each_dial_request_names_the_route() -> None:
    handshake = Handshake("/chat", (), ("a", "b"), "192.0.2.1:5555", route="eu")
    requests = DialRequests("S-1", handshake, "X-Reconnect")

    first = requests.first()
    again = requests.again("b", 3, 7)

    assert (first.route, first.subprotocols, first.reconnect) == ("eu", ("a", "b"), False)
    assert (again.route, again.subprotocols, again.reconnect) == ("eu", ("b",), True)
    assert (first.seen_up_to, again.seen_up_to) == (0, 7)
    assert ("X-Wsgw-Replayed", "3") in again.headers
