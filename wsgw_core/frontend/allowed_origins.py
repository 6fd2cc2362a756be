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
        patterns = tuple(patterns)
        self._all = not patterns
        self._exact = frozenset(pattern for pattern in patterns if not pattern.subdomains)
        self._below = frozenset(pattern for pattern in patterns if pattern.subdomains)

    def allow(self, origin: str | None) -> bool:
        """Returns whether a client may connect.

        Args:
            origin: the value of `Origin`. None, for a client that sent none, is allowed: every
                browser sends it, and other programs can send any value they like.
        """
        if self._all or origin is None:
            return True
        try:
            sent = OriginPattern.parse(origin)
        except ValueError:
            return False
        if sent.subdomains:
            return False
        return sent in self._exact or any(
            (sent.scheme, sent.port) == (pattern.scheme, pattern.port)
            and sent.host.endswith(f".{pattern.host}")
            for pattern in self._below
        )
