"""A handshake, as templates and fields read it."""

from __future__ import annotations

from wsgw_core.api import DialRequest, Handshake


def asked_of(handshake: Handshake) -> DialRequest:
    """Return what a client asks for, before it has a session."""
    return DialRequest(
        session_id="",
        path=handshake.path,
        headers=handshake.headers,
        subprotocols=handshake.subprotocols,
        peer=handshake.peer,
        route=handshake.route,
        host=handshake.host,
    )
