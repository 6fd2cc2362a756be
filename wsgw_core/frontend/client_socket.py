"""A client's websocket, after its handshake."""

from __future__ import annotations

from collections.abc import Callable

from ..api import Clock, Close, Limits, ReadBatch
from ..relay.client_end import ClientEnd
from ..relay.session import Session
from ..websocket import Endpoint, EndpointEvents


class ClientSocket:
    """Connects a session to its client: the endpoint relays, this tells what becomes of it.

    Args:
        session: what the client's messages are for.
        on_gone: called once, when the transport is gone.
        limits, clock, read_batch: see Endpoint.

    Attributes:
        endpoint: the connection.
    """

    __slots__ = ("_on_gone", "_session", "endpoint")

    def __init__(
        self,
        session: Session,
        on_gone: Callable[[ClientSocket], None],
        limits: Limits,
        clock: Clock,
        read_batch: ReadBatch,
    ) -> None:
        self._session = session
        self._on_gone = on_gone
        self.endpoint = Endpoint(self, limits, clock, read_batch)

    def begin(self, first_bytes: bytes) -> None:
        """Start the session, then read, beginning with bytes that came behind the handshake."""
        self._session.start(self.endpoint)
        self.endpoint.deliver = self._session.client_message
        self.endpoint.begin(first_bytes)

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake."""
        self.endpoint.close(code, reason)

    def abort(self) -> None:
        """Drop the connection."""
        self.endpoint.abort()

    # What the endpoint calls

    def ended(self, close: Close, *, violation: bool) -> None:
        """Tell the session that the client has gone."""
        self._session.client_closed(close, violation=violation)

    def disconnected(self) -> None:
        """Let go."""
        self._on_gone(self)

    def writable(self, writable: bool, /) -> None:
        """Tell the session whether the client keeps up."""
        self._session.client_writable(writable)

    def heard(self) -> None:
        """See EndpointEvents; of no use here."""

    def pong_received(self, _payload: bytes, /) -> None:
        """See EndpointEvents; nobody asked."""

    def woken(self) -> None:
        """See EndpointEvents; of no use here."""


def _is_endpoint_events(socket: ClientSocket) -> EndpointEvents:
    return socket  # checked by the type checker


def _is_client_end(endpoint: Endpoint) -> ClientEnd:
    return endpoint  # checked by the type checker
