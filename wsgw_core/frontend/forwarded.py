"""The headers that tell a backend about the client's connection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..api import Headers
from .trusted_proxies import TrustedProxies

_FOR = "x-forwarded-for"
_FORWARDED = "forwarded"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def is_forwarding_header(name: str) -> bool:
    """Returns whether proxies set a header to describe the client; `name` is in lower case."""
    return name.startswith("x-forwarded-") or name in (_FORWARDED, "x-real-ip")


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Makes the forwarding headers for a backend.

    Attributes:
        proxies: the peers whose forwarding headers are passed on.
        believe_all: whether to extend the `X-Forwarded-For` of every peer.
        forwarded: whether to send `Forwarded` (RFC 7239) too.
    """

    proxies: TrustedProxies
    believe_all: bool
    forwarded: bool

    def headers(self, received: Iterable[tuple[str, str]], peer: Peer) -> Headers:
        """Returns the forwarding headers for the backend.

        Args:
            received: the forwarding headers of the request; see `is_forwarding_header`.
            peer: the peer that sent the request.
        """
        trusted = self.proxies.trusts(peer.host)
        address = self.proxies.client_address(peer.host, ())
        chain: list[str] = []
        elements: list[str] = []
        passed: list[tuple[str, str]] = []
        for name, value in received:
            lower = name.lower()
            if lower == _FOR:
                if trusted or self.believe_all:
                    chain += filter(None, (entry.strip(" \t") for entry in value.split(",")))
            elif not trusted or not value.strip(" \t,"):
                continue  # not believed, or empty
            elif lower == _FORWARDED and self.forwarded:
                elements.append(value.strip(" \t,"))
            else:
                passed.append((name, value))
        known = {name.lower() for name, _ in passed}
        made = [("X-Forwarded-For", ", ".join([*chain, address]))]
        if "x-forwarded-proto" not in known:
            made.append(("X-Forwarded-Proto", peer.scheme))
        if "x-forwarded-host" not in known:
            made.append(("X-Forwarded-Host", peer.asked_for))
        if self.forwarded:
            made.append(("Forwarded", ", ".join([*elements, _element(address, peer)])))
        return (*passed, *made)


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of the client's TCP connection.

    Attributes:
        host: its address, without the port.
        scheme: `https` when the connection has TLS, else `http`.
        asked_for: the `Host` of its request.
        subject: the subject of its certificate; see `client_subject`.
    """

    host: str
    scheme: str
    asked_for: str
    subject: str | None = None


def _element(address: str, peer: Peer) -> str:
    """Returns one element of `Forwarded`; an IPv6 address has brackets (RFC 7239 section 6)."""
    node = f"[{address}]" if ":" in address else address
    pairs = (("for", node), ("host", peer.asked_for), ("proto", peer.scheme))
    return ";".join(f"{name}={_quoted(value)}" for name, value in pairs)


def _quoted(value: str) -> str:
    """Returns a value in quotes unless it is a token; addresses and hosts need no escapes."""
    return value if _TOKEN.fullmatch(value) else f'"{value}"'
