"""What one side hears of the other's end."""

from __future__ import annotations

from dataclasses import replace

from ...api import BackendDeclined, Close, CloseCode
from ...pool.dialling.backend_search import NoBackend
from ...websocket import session_ends


def close_for_backend(close: Close, *, violation: bool) -> Close:
    """Return what a backend hears of the way in which a client has left.

    Args:
        close: what the client sent; 1006 when it was lost.
        violation: the client was closed for breaking the protocol or a limit.
    """
    if violation:
        return Close(session_ends.CLIENT_BROKE_PROTOCOL.backend, close.reason)
    if close.code == CloseCode.LOST:
        return Close(session_ends.CLIENT_LOST.backend, "client lost")
    return close


def close_after_loss(close: Close, code: int, *, all_are_lost: bool) -> Close:
    """Return what a client hears of its backend's end, where no other is looked for.

    Args:
        close: the end.
        code: says that the backend was lost; what the backend says by itself comes before it.
        all_are_lost: whether the backend has lost all its connections.
    """
    nothing_was_said = close.code == CloseCode.LOST and not close.breach
    if close.abnormal and (nothing_was_said or all_are_lost):
        return replace(close, code=code)
    return close


def close_without_backend(error: Exception) -> Close:
    """Return what a client hears when no other backend serves it.

    Args:
        error: what the search for one has raised.
    """
    if isinstance(error, BackendDeclined):
        return Close(
            session_ends.BACKEND_DECLINED.client,
            f"declined by the backend with status {error.status}",
        )
    if isinstance(error, NoBackend):
        return Close(session_ends.NO_BACKEND.client, "no backend available")
    return Close(session_ends.INTERNAL_ERROR.client, "internal error")
