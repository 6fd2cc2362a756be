"""A plugin's connection whose faults concern only its own session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ...api import BackendConnection, Close, CloseCause, CloseCode, Message, Sink
from ...reported_number import reported_number
from ...websocket import session_ends
from .backend_pool import PooledBackend

_CLOSE_CODE = session_ends.BACKEND_PLUGIN_FAILED.backend
_Numbered = Callable[[Message, int], None]


class GuardedConnection:
    """Calls a plugin's connection, and catches what it raises.

    A call that raises ends the connection: in the next turn of the loop the sink gets an abnormal
    end, so that the session moves on. An attribute that raises, or has the wrong type, has its
    default. The log shows both, at most once a minute for a backend.

    Args:
        plugin_connection: the connection.
        backend: its backend.
        sink: the session's side of the connection.

    Attributes:
        plugin_connection, backend: see above.
        subprotocol, headers: see BackendConnection.
        numbered: the plugin's `send_numbered`, if there is one.
        has_failed: whether a call has raised. From then on nothing is sent to the connection.

    Raises:
        Exception: the plugin has not returned a connection.
    """

    __slots__ = (
        "_sink",
        "backend",
        "has_failed",
        "headers",
        "numbered",
        "plugin_connection",
        "subprotocol",
    )

    def __init__(
        self, plugin_connection: BackendConnection, backend: PooledBackend, sink: Sink
    ) -> None:
        self.plugin_connection = plugin_connection
        self.backend = backend
        self._sink = sink
        self.has_failed = False
        try:
            self.subprotocol = plugin_connection.subprotocol
            self.headers = tuple(plugin_connection.headers)
            self.numbered: _Numbered | None = getattr(plugin_connection, "send_numbered", None)
        except Exception:
            with suppress(Exception):
                plugin_connection.close(_CLOSE_CODE, "not usable", CloseCause.SESSION_MOVES)
            raise

    def start(self) -> None:
        """See BackendConnection."""
        self._call("start")

    def pause(self) -> None:
        """See BackendConnection."""
        self._call("pause")

    def resume(self) -> None:
        """See BackendConnection."""
        self._call("resume")

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        """See BackendConnection."""
        self._call("close", code, reason, cause)

    @property
    def ping(self) -> Callable[[Callable[[], object]], None] | None:
        """See PingableConnection; None: the connection has no pings."""
        return partial(self._call, "ping") if self._flag("ping") else None

    def send(self, message: Message, number: int) -> None:
        """Sends a message with its number, or without if the connection knows no numbers."""
        if self.numbered is None:
            self.send_unnumbered(message)
        elif not self.has_failed:
            self._call("send_numbered", message, number)

    def send_unnumbered(self, message: Message) -> None:
        """Sends a message without its number, or a hydration, which has none."""
        if not self.has_failed:
            self._call("send", message)

    # Attributes

    @property
    def unsent(self) -> int:
        """How many messages, the last ones given, were not sent; see NumberedConnection."""
        return self._number("unsent")

    @property
    def delivered_is_answered(self) -> bool:
        """Whether a message counts as delivered only when it is answered; see BackendConnection."""
        return self._flag("delivered_is_answered")

    @property
    def held_bytes(self) -> int:
        """Bytes that wait in the connection, if its plugin says so; see HoldingConnection."""
        return self._number("held_bytes")

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message has arrived only in part; see HoldingConnection."""
        return self._flag("is_in_a_message")

    @property
    def lasting_bytes(self) -> int:
        """Bytes that the connection needs as long as it lasts; see HoldingConnection."""
        return self._number("lasting_bytes")

    def _number(self, name: str) -> int:
        return reported_by(self.plugin_connection, self.backend, name)

    def _flag(self, name: str) -> bool:
        try:
            return bool(getattr(self.plugin_connection, name, False))
        except Exception as error:  # noqa: BLE001 - the code of a plugin
            self.backend.plugin_failed(name, error)
            return False

    # Faults

    def failed(self, method: str, error: Exception) -> None:
        """Ends the connection, because a method of it has raised an error."""
        self.backend.plugin_failed(method, error)
        if not self.has_failed:
            self.has_failed = True
            loop = asyncio.get_running_loop()
            loop.call_soon(self._end, f"its plugin raised {type(error).__name__} in {method}()")

    def _end(self, reason: str) -> None:
        self._sink.closed(Close(CloseCode.INTERNAL_ERROR, reason, abnormal=True))
        self.close(_CLOSE_CODE, "its plugin has failed", CloseCause.SESSION_MOVES)

    def _call(self, method: str, *arguments: Any) -> None:
        try:
            getattr(self.plugin_connection, method)(*arguments)
        except Exception as error:  # noqa: BLE001 - the code of a plugin
            self.failed(method, error)


def reported_by(connection: object, backend: PooledBackend, name: str) -> int:
    """Returns a number in an attribute of a plugin's connection; 0 if that cannot be had.

    Args:
        connection: the connection.
        backend: its backend, for the log.
        name: the attribute.
    """
    try:
        return reported_number(connection, name)
    except Exception as error:  # noqa: BLE001 - the code of a plugin
        backend.plugin_failed(name, error)
        return 0
