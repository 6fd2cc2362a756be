"""Close codes and reasons (RFC 6455 section 7.4)."""

from __future__ import annotations

NORMAL = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
NO_CODE = 1005
LOST = 1006
INVALID_PAYLOAD = 1007
POLICY_VIOLATION = 1008
TOO_BIG = 1009
INTERNAL_ERROR = 1011
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013
BAD_GATEWAY = 1014

_MAX_REASON = 123  # a control frame's 125 bytes less the code


def sendable(code: int) -> int:
    """Return the code to put on the wire for `code`: one that may be sent (section 7.4.2).

    1005, 1006 and 1015, which are never on the wire, and numbers that mean nothing become 1011.
    """
    if 1000 <= code <= 1014 and code not in (1004, NO_CODE, LOST):
        return code
    return code if 3000 <= code <= 4999 else INTERNAL_ERROR


def reason_bytes(reason: str) -> bytes:
    """Encode a reason, cut at a character's boundary so that it fits a control frame."""
    data = reason.encode(errors="replace")
    if len(data) <= _MAX_REASON:
        return data
    return data[:_MAX_REASON].decode(errors="ignore").encode()
