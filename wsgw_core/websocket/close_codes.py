"""What a close frame may say (RFC 6455 section 7.4)."""

from __future__ import annotations

from ..api import CloseCode

_MAX_REASON = 123  # a control frame's 125 bytes less the code


def sendable(code: int) -> int:
    """Returns `code` if it may be sent, else 1011.

    1005, 1006 and 1015 never travel.
    """
    return code if CloseCode.may_be_sent(code) else CloseCode.INTERNAL_ERROR


def reason_bytes(reason: str) -> bytes:
    """Encodes a reason, cut at a character's boundary so that it fits a control frame."""
    data = reason.encode(errors="replace")
    if len(data) <= _MAX_REASON:
        return data
    return data[:_MAX_REASON].decode(errors="ignore").encode()
