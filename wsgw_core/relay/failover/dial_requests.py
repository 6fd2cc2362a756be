"""Makes the requests with which a session's backends are dialled."""

from __future__ import annotations

from dataclasses import replace

from ...api import DialRequest, Handshake, without_headers
from .acceptances import Acceptances

_SESSION = "X-Wsgw-Session"
_REPLAYED = "X-Wsgw-Replayed"


class DialRequests:
    """Makes the dial requests of one session, for its first backend and those that follow.

    Args:
        session_id: every backend receives it.
        handshake: the client's request, as the gates left it.
        reconnect_header: name of the header that says a backend is not the first.

    Attributes:
        handshake: see above.
        acceptances: the backends that have accepted a request.
        header_bytes: size of the client's headers, names and values.
    """

    __slots__ = ("_reconnect_header", "_session_id", "acceptances", "handshake", "header_bytes")

    def __init__(self, session_id: str, handshake: Handshake, reconnect_header: str) -> None:
        self._session_id = session_id
        self.handshake = handshake
        self._reconnect_header = reconnect_header
        self.acceptances = Acceptances(session_id)
        self.header_bytes = sum(len(name) + len(value) for name, value in handshake.headers)

    def first(self) -> DialRequest:
        """Returns the request for the session's first backend."""
        handshake = self.handshake
        kept = without_headers(handshake.headers, (_SESSION, _REPLAYED))  # a gate may have set them
        headers = (*kept, (_SESSION, self._session_id))
        return DialRequest(
            self._session_id,
            handshake.path,
            headers,
            handshake.subprotocols,
            handshake.peer,
            route=handshake.route,
            host=handshake.host,
        )

    def again(self, subprotocol: str | None, replayed: int, seen_up_to: int) -> DialRequest:
        """Returns the request for a later backend.

        Args:
            subprotocol: the session's; the request offers no other.
            replayed: how many of the first messages an earlier backend may have seen.
            seen_up_to: the greatest number of a message that an earlier backend may have seen.
        """
        first = self.first()
        return replace(
            first,
            headers=(
                *without_headers(first.headers, (self._reconnect_header,)),
                (self._reconnect_header, "1"),
                (_REPLAYED, str(replayed)),
            ),
            subprotocols=(subprotocol,) if subprotocol else (),
            reconnect=True,
            seen_up_to=seen_up_to,
        )
