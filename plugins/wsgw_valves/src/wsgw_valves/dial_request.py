"""A handshake as a dial request, which templates and fields read."""

from __future__ import annotations

from wsgw_core.api import DialRequest, Handshake


def as_dial_request(handshake: Handshake) -> DialRequest:
    """Returns the dial request for a handshake, which has no session yet."""
    return DialRequest(
        session_id="",
        path=handshake.path,
        headers=handshake.headers,
        subprotocols=handshake.subprotocols,
        peer=handshake.peer,
        route=handshake.route,
        host=handshake.host,
    )
