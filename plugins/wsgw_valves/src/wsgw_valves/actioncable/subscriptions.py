"""The subscriptions of one session."""

from __future__ import annotations

from collections.abc import Iterator

from wsgw_core.api import Message, ReplyExpected, SentOnce, Session

from ..session_memory import SessionMemory


class Subscriptions:
    """Remembers each `subscribe` until the client unsubscribes or the server rejects it.

    Args:
        session: the session.
        memory: the session's.
        expires: seconds to wait for an answer.
    """

    __slots__ = ("_awaited", "_confirmed", "_expires", "_memory", "_new", "_session")

    def __init__(self, session: Session, memory: SessionMemory, expires: float) -> None:
        self._session = session
        self._memory = memory
        self._expires = expires
        # By identifier
        self._new: dict[str, Message] = {}
        self._confirmed: dict[str, Message] = {}
        self._awaited: set[str] = set()  # confirmed before, but not yet by this server

    def begin(self, identifier: str, message: Message) -> Message | None:
        """Adds a subscription; returns the message to send for its `subscribe`.

        A client repeats it every half second until a server confirms it. Every server gets the
        first one, so repeats are only for the current server.

        Raises:
            MemoryExceeded: there is no memory for the subscription.
        """
        if identifier in self._new or identifier in self._confirmed:
            return self._for_this_server(message)
        self._memory.take(message.size)
        self._new[identifier] = message
        return ReplyExpected(message.kind, message.data, identifier, self._expires)

    def end(self, identifier: str, message: Message) -> Message | None:
        """Removes a subscription; returns the message to send for its `unsubscribe`."""
        if self.forget(identifier):
            return self._for_this_server(message)
        return message  # the `subscribe` may still be sent again

    def confirm(self, identifier: str) -> None:
        """Handles a confirmation."""
        self._awaited.discard(identifier)
        message = self._new.pop(identifier, None)
        if message is not None:
            self._confirmed[identifier] = message
            self._session.answered(identifier)

    def forget(self, identifier: str) -> bool:
        """Removes a subscription; returns whether it was confirmed."""
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
        """Returns the subscriptions that the next server must confirm."""
        self._awaited = set(self._confirmed)
        return iter(tuple(self._confirmed.items()))

    def is_awaited(self, identifier: str) -> bool:
        """Returns whether a server must still confirm a subscription again."""
        return identifier in self._awaited

    def _for_this_server(self, message: Message) -> Message | None:
        if self._session.backend_id is None:
            return None
        return SentOnce(message.kind, message.data)
