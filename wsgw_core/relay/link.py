"""The session's end of one backend connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..api import BackendConnection, Close, Hydration, Message, Sink

if TYPE_CHECKING:
    from ..pool.backend_pool import PooledBackend
    from .session import Session


class Link:
    """What a backend connection is given as its Sink; dead once the session has let go of it.

    Attributes:
        connection: set when the dial has succeeded.
        backend: whose connection it is.
        unacknowledged_hydration: how many of the first messages are not the ledger's.
    """

    __slots__ = ("_hydrations", "_session", "backend", "connection", "unacknowledged_hydration")

    connection: BackendConnection
    backend: PooledBackend

    def __init__(self, session: Session) -> None:
        self._session: Session | None = session
        self._hydrations: list[Hydration] | None = None
        self.unacknowledged_hydration = 0

    def open(self, backend: PooledBackend, connection: BackendConnection) -> None:
        """Take the connection that the dial gave."""
        self.backend = backend
        self.connection = connection
        backend.active += 1

    def sever(self) -> None:
        """Let nothing through any more."""
        if self._session is not None:
            self._session = None
            self.backend.active -= 1

    def hydrate(self, hydrations: list[Hydration]) -> None:
        """Tell a new backend what it must hear before the replay."""
        for hydration in hydrations:
            self.unacknowledged_hydration += 1
            self.connection.send(hydration.message)
        self._hydrations = [each for each in hydrations if each.is_answer is not None] or None

    # What the connection calls

    def message(self, message: Message, /) -> bool:
        """See Sink."""
        session = self._session
        if session is None:
            return False
        if self._hydrations is not None and self._swallow(message):
            return True
        inward = session.inward
        if inward is not None:
            inward(message)
            return session.client is not None
        client = session.client
        if client is None:
            return False
        client.send(message)
        return True

    def delivered(self, count: int, /) -> None:
        """See Sink."""
        if self._session is None:
            return
        if self.unacknowledged_hydration:
            swallowed = min(count, self.unacknowledged_hydration)
            self.unacknowledged_hydration -= swallowed
            count -= swallowed
        self._session.messages_delivered(count)

    def writable(self, writable: bool, /) -> None:  # noqa: FBT001 - as in the contract
        """See Sink."""
        if self._session is not None:
            self._session.backend_writable(writable)

    def closed(self, close: Close, /) -> None:
        """See Sink."""
        if self._session is not None:
            self._session.backend_closed(close)

    def _swallow(self, message: Message) -> bool:
        for hydration in self._hydrations or ():
            if hydration.is_answer is not None and hydration.is_answer(message):
                assert self._hydrations is not None  # noqa: S101 - for the type checker
                self._hydrations.remove(hydration)
                if not self._hydrations:
                    self._hydrations = None
                return True
        return False


def _is_sink(link: Link) -> Sink:
    return link  # checked by the type checker
