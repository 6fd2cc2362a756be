"""A client's websocket, after its handshake."""

from __future__ import annotations

from collections.abc import Callable

from ..api import Clock, Close, Limits, ReadBatch
from ..relay.session import ClientEnd, Session
from ..websocket import Endpoint


class ClientSocket(Endpoint):
    """Connects a session to its client.

    Args:
        session: what the client's messages are for.
        on_gone: called once, when the transport is gone.
        limits, clock, read_batch: see Endpoint.
    """

    __slots__ = ("_on_gone", "_session")

    def __init__(
        self,
        session: Session,
        on_gone: Callable[[ClientSocket], None],
        limits: Limits,
        clock: Clock,
        read_batch: ReadBatch,
    ) -> None:
        super().__init__(limits, clock, read_batch)
        self._session = session
        self._on_gone = on_gone

    def begin(self, first_bytes: bytes) -> None:
        """Read from now on; the session has been started."""
        self.deliver = self._session.client_message
        super().begin(first_bytes)

    def writable(self, writable: bool) -> None:  # noqa: FBT001 - see Endpoint
        """Tell the session whether the client keeps up."""
        self._session.client_writable(writable)

    def ended(self, close: Close, *, violation: bool) -> None:
        """Tell the session that the client has gone."""
        self._session.client_closed(close, violation=violation)

    def disconnected(self) -> None:
        """Let go."""
        self._on_gone(self)


def _is_client_end(socket: ClientSocket) -> ClientEnd:
    return socket  # checked by the type checker
