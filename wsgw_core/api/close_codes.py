"""Close codes (RFC 6455 section 7.4)."""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """The close codes of RFC 6455, section 7.4.1, and of its registry."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_CODE = 1005
    """The close frame had no code. Never sent."""
    LOST = 1006
    """The connection ended without a close frame. Never sent."""
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014

    @staticmethod
    def may_be_sent(code: int) -> bool:
        """Returns whether a close frame may carry `code` (section 7.4.2)."""
        return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
