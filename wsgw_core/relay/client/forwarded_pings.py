"""The pings of a client whose answers are to come from its backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...api import BackendConnection


class ForwardedPings:
    """Passes the client's latest ping on to whichever backend serves, until it is answered.

    RFC 6455 (section 5.5.3) lets whoever is pinged again before answering answer the last ping
    only. While there is no backend nothing is answered; the next one is asked.

    Args:
        pong: answers the client.
    """

    __slots__ = ("_asked", "_latest", "_pong")

    def __init__(self, pong: Callable[[bytes], object]) -> None:
        self._pong = pong
        self._latest: bytes | None = None
        self._asked: BackendConnection | None = None

    def received(self, payload: bytes, connection: BackendConnection | None) -> None:
        """Take a ping; None: there is no backend now."""
        self._latest = payload
        self.pass_on(connection)

    def pass_on(self, connection: BackendConnection | None) -> None:
        """Ask a backend, if there is anything to ask; one of a kind without pings is trusted."""
        self._asked = connection
        payload = self._latest
        if payload is None or connection is None:
            return
        ping = getattr(connection, "ping", None)
        if ping is None:
            self._answer(payload)
        else:
            ping(partial(self._answered, connection, payload))

    def _answered(self, connection: BackendConnection, payload: bytes) -> None:
        if connection is self._asked and payload is self._latest:
            self._answer(payload)

    def _answer(self, payload: bytes) -> None:
        self._latest = None
        self._pong(payload)
