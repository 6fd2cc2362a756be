"""From which sites browsers may connect (RFC 6455 section 10.2)."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.patterns import OriginPattern


def is_origin_allowed(origin: str | None, patterns: Sequence[OriginPattern]) -> bool:
    """Returns whether a client may connect.

    Args:
        origin: the value of `Origin`. None, for a client that sent none, is allowed: every browser
            sends it, and other programs can send any value they like.
        patterns: the allowed origins; without any, all are allowed.
    """
    if not patterns or origin is None:
        return True
    try:
        sent = OriginPattern.parse(origin)
    except ValueError:
        return False
    return not sent.subdomains and any(pattern.matches(sent) for pattern in patterns)
