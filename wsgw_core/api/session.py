"""A session as plugins see it, and the listeners that follow its life."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol, runtime_checkable

from .backend import Headers
from .close import Close
from .message import Message


@runtime_checkable
class Session(Protocol):
    """One client's websocket, across all its backends. Provided by the core."""

    @property
    def id(self) -> str:
        """Unguessable and never reused."""

    @property
    def path(self) -> str:
        """The client's request target: path and query."""

    @property
    def headers(self) -> Headers:
        """The client's end-to-end headers."""

    @property
    def peer(self) -> str:
        """The client's address."""

    @property
    def route(self) -> str:
        """The id of the session's route; empty if the gateway has no routes.

        Known from the beginning, and the same for the session's whole life.
        """

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol in use."""

    @property
    def backend_id(self) -> str | None:
        """The backend that serves now; None if there is none."""

    @property
    def messages_received(self) -> int:
        """Messages received from the client."""

    @property
    def messages_sent(self) -> int:
        """Messages sent to the client."""

    @property
    def reconnects(self) -> int:
        """How often the session has changed its backend."""

    @property
    def state(self) -> dict[str, Any]:
        """For the plugins' own use; lives as long as the session."""

    def send_to_client(self, message: Message) -> None:
        """Injects a message towards the client, after those already in flight.

        A valve's message enters the chain after that valve, a listener's at its beginning.
        No effect when the client is gone.
        """

    def send_to_backend(self, message: Message) -> None:
        """Injects a message towards the backend; wsgw keeps and replays it like a client's."""

    def answered(self, handle: Hashable) -> None:
        """Reports that the application answered the ReplyExpected message of this handle."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Ends the session: the client gets code and reason, the backend 1001.

        Takes effect after the message that is being processed.
        """

    def fail_over(self) -> None:
        """Moves to another backend if there is one, after the message that is being processed.

        If the backend closes the connection normally before the session has left it, the session
        still goes on at another one.
        """


class SessionListener(Protocol):
    """Follows sessions. The core calls it synchronously; it must be quick.

    An exception is logged and counted, and changes nothing.
    """

    def session_created(self, session: Session) -> None:
        """Handles a new session; called when the client was answered, before its first message."""

    def session_failed_over(self, session: Session, old: str | None, new: str) -> None:
        """Handles a change of backend; called with both backends' ids before the replay."""

    def session_terminated(self, session: Session, close: Close) -> None:
        """Handles the end of a session; called once for each. `close` says how it ended."""
