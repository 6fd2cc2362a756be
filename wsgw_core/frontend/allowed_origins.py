"""From which sites browsers may connect (RFC 6455 section 10.2)."""

from __future__ import annotations

from collections.abc import Iterable

from ..config.patterns import OriginPattern


class AllowedOrigins:
    """The list of allowed origins.

    Args:
        patterns: the patterns; without any, all origins are allowed.
    """

    def __init__(self, patterns: Iterable[OriginPattern] = ()) -> None:
        self._patterns = tuple(patterns)

    def allow(self, origin: str | None) -> bool:
        """Returns whether a client may connect.

        Args:
            origin: the value of `Origin`. None, for a client that sent none, is allowed: every
                browser sends it, and other programs can send any value they like.
        """
        if not self._patterns or origin is None:
            return True
        try:
            sent = OriginPattern.parse(origin)
        except ValueError:
            return False
        return not sent.subdomains and any(pattern.matches(sent) for pattern in self._patterns)
