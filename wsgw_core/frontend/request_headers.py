"""Which of a client's headers its backend gets."""

from __future__ import annotations

from collections.abc import Iterable

from ..api import Headers

# RFC 9110 section 7.6.1, and what belongs to one leg's own websocket handshake
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_FORWARDED_FOR = "x-forwarded-for"
_OURS = "x-wsgw-"


class RequestHeaders:
    """Picks and adds headers by the configuration.

    Args:
        block: names that no backend gets.
        reconnect_header: dropped, so that no client can pose as a failover.
        trust_forwarded_for: whether the client's `X-Forwarded-For` is kept and continued.
    """

    def __init__(
        self, block: Iterable[str], reconnect_header: str, *, trust_forwarded_for: bool
    ) -> None:
        self._drop = _HOP_BY_HOP | {name.lower() for name in (*block, reconnect_header)}
        self._trust_forwarded_for = trust_forwarded_for

    def for_backend(self, received: Iterable[tuple[str, str]], peer_host: str) -> Headers:
        """Return the headers for the backend, in the order received.

        Args:
            received: all headers of the client's request.
            peer_host: the client's address, without its port.
        """
        received = tuple(received)
        drop = self._drop | _named_in_connection(received)
        kept = []
        forwarded_for = []
        for name, value in received:
            lower = name.lower()
            if lower == _FORWARDED_FOR:
                if self._trust_forwarded_for and lower not in drop:
                    forwarded_for.append(value)
            elif lower not in drop and not lower.startswith(_OURS):
                kept.append((name, value))
        if _FORWARDED_FOR not in self._drop:
            kept.append(("X-Forwarded-For", ", ".join([*forwarded_for, peer_host])))
        return tuple(kept)


def _named_in_connection(headers: Iterable[tuple[str, str]]) -> set[str]:
    return {
        option.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for option in value.split(",")
    }
