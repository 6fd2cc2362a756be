"""What a backend is told about the client's own connection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..api import Headers
from .trusted_proxies import TrustedProxies

_FOR = "x-forwarded-for"
_FORWARDED = "forwarded"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def tells_of_the_client(name: str) -> bool:
    """Returns whether a header, its name in small letters, is one that proxies set."""
    return name.startswith("x-forwarded-") or name in (_FORWARDED, "x-real-ip")


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Makes the headers by which proxies tell for whom they speak.

    Attributes:
        proxies: whose word is passed on.
        believe_all: whether the `X-Forwarded-For` of every peer is continued.
        forwarded: whether `Forwarded` (RFC 7239) is sent too.
    """

    proxies: TrustedProxies
    believe_all: bool
    forwarded: bool

    def headers(self, received: Iterable[tuple[str, str]], peer: Peer) -> Headers:
        """Returns what the backend is told.

        Args:
            received: those of the request's headers that `tells_of_the_client`.
            peer: who sent it.
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
                continue  # an empty one tells nothing
            elif lower == _FORWARDED and self.forwarded:
                elements.append(value.strip(" \t,"))
            else:
                passed.append((name, value))
        told = {name.lower() for name, _ in passed}
        made = [("X-Forwarded-For", ", ".join([*chain, address]))]
        if "x-forwarded-proto" not in told:
            made.append(("X-Forwarded-Proto", peer.scheme))
        if "x-forwarded-host" not in told:
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
        subject: of the certificate that it has shown, see `client_subject`.
    """

    host: str
    scheme: str
    asked_for: str
    subject: str | None = None


def _element(address: str, peer: Peer) -> str:
    """Writes one element of `Forwarded`; an IPv6 address has brackets (RFC 7239 section 6)."""
    node = f"[{address}]" if ":" in address else address
    pairs = (("for", node), ("host", peer.asked_for), ("proto", peer.scheme))
    return ";".join(f"{name}={_quoted(value)}" for name, value in pairs)


def _quoted(value: str) -> str:
    """Quotes what is no token; neither addresses nor valid hosts have anything to escape."""
    return value if _TOKEN.fullmatch(value) else f'"{value}"'
