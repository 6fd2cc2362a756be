"""Which of a client's headers its backend gets."""

from __future__ import annotations

from collections.abc import Iterable

from ..api import Headers
from ..api.headers import OF_ONE_LEG
from .forwarded import Forwarding, Peer, is_forwarding_header

_OURS = "x-wsgw-"


class RequestHeaders:
    """Selects and adds headers as configured.

    Many backends take `X_User` for `X-User`. So wsgw also drops a header whose name is such a
    spelling of a dropped header, or of one that the gateway or a proxy sets.

    `Connection` names headers for one leg only. wsgw always drops those of RFC 9110 section 7.6.1,
    and others unless the peer is a trusted proxy.

    Args:
        block: the names of headers that no backend gets.
        reconnect_header: dropped, so that no client can pretend a failover.
        forwarding: makes the forwarding headers.
        subject_header: the header for the subject of the client's certificate; None: not sent.
    """

    def __init__(
        self,
        block: Iterable[str],
        reconnect_header: str,
        forwarding: Forwarding,
        subject_header: str | None = None,
    ) -> None:
        self._drop = OF_ONE_LEG | {name.lower() for name in (*block, reconnect_header)}
        self._forwarding = forwarding
        self._subject_header = subject_header
        self._meant_subject = (subject_header or "").lower().replace("_", "-")

    def for_backend(self, received: Iterable[tuple[str, str]], peer: Peer) -> Headers:
        """Returns the headers for the backend: those kept, in their order, then those made.

        Args:
            received: all headers of the client's request.
            peer: the peer that sent the request.
        """
        received = tuple(received)
        # A proxy may pass on the client's Connection, which could name a header of the proxy.
        trusted = self._forwarding.proxies.trusts(peer.host)
        named = set() if trusted else _named_in_connection(received)
        kept, forwarding = [], []
        for name, value in received:
            lower = name.lower()
            meant = lower.replace("_", "-")
            if meant == self._meant_subject:
                continue  # also from a proxy: only the gateway has verified the certificate
            if is_forwarding_header(meant):
                if meant == lower:  # whatever Connection names
                    forwarding.append((name, value))
            elif not (
                lower in named
                or lower in self._drop
                or meant in self._drop
                or meant.startswith(_OURS)
            ):
                kept.append((name, value))
        made = self._forwarding.headers(forwarding, peer)
        added = tuple(field for field in made if field[0].lower() not in self._drop)
        if self._subject_header is not None and peer.subject is not None:
            added += ((self._subject_header, peer.subject),)
        return (*kept, *added)


def _named_in_connection(headers: Iterable[tuple[str, str]]) -> set[str]:
    return {
        option.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for option in value.split(",")
    }
