"""What one side hears of the other's end."""

from __future__ import annotations

from ..api import BackendDeclined, Close
from ..pool.dialler import NoBackend
from ..websocket.close_codes import (
    GOING_AWAY,
    INTERNAL_ERROR,
    LOST,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
)


def told_to_backend(close: Close, *, violation: bool) -> Close:
    """Return what a backend hears of the way in which a client has left.

    Args:
        close: what the client sent; 1006 when it was lost.
        violation: the client was closed for breaking the protocol or a limit.
    """
    if violation:
        return Close(GOING_AWAY, close.reason)
    if close.code == LOST:
        return Close(GOING_AWAY, "client lost")
    return close


def told_without_backend(error: Exception) -> Close:
    """Return what a client hears when no other backend serves it.

    Args:
        error: what the search for one has raised.
    """
    if isinstance(error, BackendDeclined):
        return Close(POLICY_VIOLATION, f"declined by the backend with status {error.status}")
    if isinstance(error, NoBackend):
        return Close(TRY_AGAIN_LATER, "no backend available")
    return Close(INTERNAL_ERROR, "internal error")
