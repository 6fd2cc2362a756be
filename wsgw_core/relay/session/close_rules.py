"""Chooses the close for one side when the other side has ended.

The codes are those of `wsgw_core.websocket.session_ends`.
"""

from __future__ import annotations

from dataclasses import replace

from ...api import BackendDeclined, Close, CloseCode
from ...pool.dialling.backend_search import NoBackend
from ...websocket import session_ends


def close_for_backend(close: Close, *, violation: bool) -> Close:
    """Returns the close for the backend of a client that has left.

    Args:
        close: what the client sent; 1006 if it was lost.
        violation: wsgw has closed the client because it broke the protocol or a limit.
    """
    if violation:
        return Close(session_ends.CLIENT_BROKE_PROTOCOL.backend, close.reason)
    if close.code == CloseCode.LOST:
        return Close(session_ends.CLIENT_LOST.backend, "client lost")
    return close


def close_after_loss(close: Close, code: int, *, all_are_lost: bool) -> Close:
    """Returns the close for a client whose backend's connection has ended, without a failover.

    Args:
        close: the end; the client gets its code if it has one.
        code: the code for the client of a lost backend.
        all_are_lost: whether the backend has lost all its connections.
    """
    has_no_code = close.code == CloseCode.LOST and not close.breach
    if close.abnormal and (has_no_code or all_are_lost):
        return replace(close, code=code)
    return close


def close_without_backend(error: Exception) -> Close:
    """Returns the close for a client when no other backend serves it.

    Args:
        error: what the search for a backend has raised.
    """
    if isinstance(error, BackendDeclined):
        return Close(
            session_ends.BACKEND_DECLINED.client,
            f"declined by the backend with status {error.status}",
        )
    if isinstance(error, NoBackend):
        return Close(session_ends.NO_BACKEND.client, "no backend available")
    return Close(session_ends.INTERNAL_ERROR.client, "internal error")
