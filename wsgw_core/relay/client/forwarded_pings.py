"""Passes a client's pings on to its backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ...pool.backends.guarded_connection import GuardedConnection


class ForwardedPings:
    """Passes the client's latest ping on to the backend that serves, until it is answered.

    An endpoint that gets several pings may answer the last one only (RFC 6455, section 5.5.3).
    While there is no backend, no ping is answered; the next backend gets the latest one.

    Args:
        pong: answers the client.
    """

    __slots__ = ("_asked", "_latest", "_pong")

    def __init__(self, pong: Callable[[bytes], object]) -> None:
        self._pong = pong
        self._latest: bytes | None = None
        self._asked: GuardedConnection | None = None

    def received(self, payload: bytes, connection: GuardedConnection | None) -> None:
        """Takes a ping of the client; without a connection it waits."""
        self._latest = payload
        self.pass_on(connection)

    def pass_on(self, connection: GuardedConnection | None) -> None:
        """Pings a backend for the client, if the client waits for an answer.

        If the backend's kind has no pings, the client is answered at once.
        """
        self._asked = connection
        payload = self._latest
        if payload is None or connection is None:
            return
        ping = connection.ping
        if ping is None:
            self._answer(payload)
        else:
            ping(partial(self._answered, connection, payload))

    def _answered(self, connection: GuardedConnection, payload: bytes) -> None:
        if connection is self._asked and payload is self._latest:
            self._answer(payload)

    def _answer(self, payload: bytes) -> None:
        self._latest = None
        self._pong(payload)
