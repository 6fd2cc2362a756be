"""Which codes and reasons a close frame may carry (RFC 6455 section 7.4)."""

from __future__ import annotations

from ..api import CloseCode

_MAX_REASON = 123  # a control frame's 125 bytes less the code


def sendable(code: int) -> int:
    """Returns `code` if a close frame may carry it, else 1011."""
    return code if CloseCode.may_be_sent(code) else CloseCode.INTERNAL_ERROR


def reason_bytes(reason: str) -> bytes:
    """Returns a reason in UTF-8, cut between two characters to at most 123 bytes."""
    data = reason.encode(errors="replace")
    if len(data) <= _MAX_REASON:
        return data
    return data[:_MAX_REASON].decode(errors="ignore").encode()
