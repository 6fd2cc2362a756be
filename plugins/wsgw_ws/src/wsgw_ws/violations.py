"""Decides how a session ends when its backend broke the protocol or a limit."""

from __future__ import annotations

from wsgw_core.api import BackendContext, Close, CloseCode
from wsgw_core.websocket.session_ends import (
    BACKEND_MESSAGE_BEYOND_LIMIT,
    SECOND_BACKEND_BROKE_PROTOCOL,
)


class Violations:
    """Counts and reports the violations on all connections of a backend.

    A breach of the protocol may be a fault of this backend alone, so the session moves, unless the
    next backend does the same. A message beyond a limit would come from another backend too, so it
    ends the session.

    Args:
        context: the backend's context.
    """

    def __init__(self, context: BackendContext) -> None:
        limits, counter = context.limits, context.metrics.counter
        self._limits: dict[int, str] = {
            CloseCode.TOO_BIG: f"limits.max-message-size ({limits.max_message_size} bytes)",
            CloseCode.POLICY_VIOLATION: f"limits.max-fragments ({limits.max_fragments})",
        }
        self._all = counter(
            "violations", "Connections on which a backend broke the protocol or a limit."
        )
        self._beyond_limits = counter(
            "messages_too_big",
            "Sessions ended for a backend's message longer, or of more fragments, than allowed.",
        )

    def end(self, close: Close, *, closing: bool) -> Close:
        """Returns the end to report to the session.

        Args:
            close: the close that the backend got.
            closing: whether the core had closed the connection before; then no message matters.
        """
        self._all.value += 1
        limit = self._limits.get(close.code)
        if limit is None or closing:
            reason = f"the backend broke the protocol: {close.code} {close.reason}"
            return Close(SECOND_BACKEND_BROKE_PROTOCOL.client, reason, abnormal=True, breach=True)
        self._beyond_limits.value += 1
        return Close(
            BACKEND_MESSAGE_BEYOND_LIMIT.client, f"a message of the backend exceeds {limit}"
        )
