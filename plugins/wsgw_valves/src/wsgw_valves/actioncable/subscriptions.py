"""The subscriptions of one session."""

from __future__ import annotations

from collections.abc import Iterator

from wsgw_core.api import Message, ReplyExpected, SentOnce, Session

from ..session_memory import SessionMemory


class Subscriptions:
    """Remembers each `subscribe` until the client unsubscribes, or the server rejects it.

    Args:
        session: whose they are.
        memory: of the session.
        expires: seconds for which an answer is waited for.
    """

    __slots__ = ("_awaited", "_confirmed", "_expires", "_memory", "_new", "_session")

    def __init__(self, session: Session, memory: SessionMemory, expires: float) -> None:
        self._session = session
        self._memory = memory
        self._expires = expires
        # By their identifiers
        self._new: dict[str, Message] = {}
        self._confirmed: dict[str, Message] = {}
        self._awaited: set[str] = set()  # confirmed once, and not yet by this server

    def begin(self, identifier: str, message: Message) -> Message | None:
        """Return what is sent for a `subscribe`.

        A client repeats it every half second until it is confirmed. The first one gets to every
        server, so the others are for this one only.

        Raises:
            MemoryExceeded: there are too many.
        """
        if identifier in self._new or identifier in self._confirmed:
            return self._for_this_server(message)
        self._memory.take(message.size)
        self._new[identifier] = message
        return ReplyExpected(message.kind, message.data, identifier, self._expires)

    def end(self, identifier: str, message: Message) -> Message | None:
        """Return what is sent for an `unsubscribe`."""
        if self.forget(identifier):
            return self._for_this_server(message)
        return message  # what it ends may still be sent again

    def confirm(self, identifier: str) -> None:
        """Take note of a confirmation."""
        self._awaited.discard(identifier)
        message = self._new.pop(identifier, None)
        if message is not None:
            self._confirmed[identifier] = message
            self._session.answered(identifier)

    def forget(self, identifier: str) -> bool:
        """Forget a subscription; return whether it was confirmed."""
        self._awaited.discard(identifier)
        message = self._confirmed.pop(identifier, None)
        is_confirmed = message is not None
        if message is None:
            message = self._new.pop(identifier, None)
            if message is None:
                return False
            self._session.answered(identifier)
        self._memory.free(message.size)
        return is_confirmed

    def change_server(self) -> Iterator[tuple[str, Message]]:
        """Iterate over what the next server must confirm."""
        self._awaited = set(self._confirmed)
        return iter(tuple(self._confirmed.items()))

    def is_awaited(self, identifier: str) -> bool:
        """Whether a server must confirm what another one has confirmed before."""
        return identifier in self._awaited

    def _for_this_server(self, message: Message) -> Message | None:
        if self._session.backend_id is None:
            return None
        return SentOnce(message.kind, message.data)
