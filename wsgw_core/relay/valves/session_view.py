"""A session as plugins see it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from ... import api
from .made_messages import check_made

if TYPE_CHECKING:
    from ..session.session import Session


class SessionView:
    """The api.Session that valves and listeners get.

    Args:
        session: the session that it shows.
        outward_start, inward_start: the positions at which injected messages enter the chains:
            behind the valve that has this view, for a listener at the beginning.
    """

    __slots__ = ("_inward_start", "_outward_start", "_session")

    def __init__(self, session: Session, outward_start: int = 0, inward_start: int = 0) -> None:
        self._session = session
        self._outward_start = outward_start
        self._inward_start = inward_start

    @property
    def id(self) -> str:
        """See api.Session."""
        return self._session.id

    @property
    def path(self) -> str:
        """See api.Session."""
        return self._session.path

    @property
    def headers(self) -> api.Headers:
        """See api.Session."""
        return self._session.headers

    @property
    def peer(self) -> str:
        """See api.Session."""
        return self._session.peer

    @property
    def route(self) -> str:
        """See api.Session."""
        return self._session.route

    @property
    def subprotocol(self) -> str | None:
        """See api.Session."""
        return self._session.subprotocol

    @property
    def backend_id(self) -> str | None:
        """See api.Session."""
        return self._session.backend_id

    @property
    def messages_received(self) -> int:
        """See api.Session."""
        return self._session.messages_received

    @property
    def messages_sent(self) -> int:
        """See api.Session."""
        return self._session.messages_sent

    @property
    def reconnects(self) -> int:
        """See api.Session."""
        return self._session.reconnects

    @property
    def state(self) -> dict[str, Any]:
        """See api.Session."""
        if self._session.plugin_state is None:
            self._session.plugin_state = {}
        return self._session.plugin_state

    def send_to_client(self, message: api.Message) -> None:
        """See api.Session."""
        check_made(message)
        self._session.inject(message, to_client=True, start=self._inward_start)

    def send_to_backend(self, message: api.Message) -> None:
        """See api.Session."""
        check_made(message)
        self._session.inject(message, to_client=False, start=self._outward_start)

    def answered(self, handle: Hashable) -> None:
        """See api.Session."""
        self._session.outbox.answered(handle)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """See api.Session."""
        self._after_current_message(lambda: self._session.close(code, reason))

    def fail_over(self) -> None:
        """See api.Session."""
        self._after_current_message(self._session.fail_over)

    def _after_current_message(self, action: Callable[[], object]) -> None:
        """Calls `action` when the message that is in the valves is through, else soon."""
        if not self._session.valves.after_current(action):
            self._session.context.clock.call_soon(action)
