"""Gates decide who may open a session."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from .backend import Headers


@dataclass(slots=True)
class Handshake:
    """A client's opening handshake, checked but not yet answered.

    Attributes:
        path: the request target.
        headers: the headers meant for the backend; a gate may assign others.
        subprotocols: the client's offers.
        peer: the client's address: `host:port` of its connection, or the address alone that a
            trusted proxy tells (`server.trusted-proxies`).
        route: the id of the route that is for it; empty where the gateway has none.
    """

    path: str
    headers: Headers
    subprotocols: tuple[str, ...]
    peer: str
    route: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer other than 101.

    Attributes:
        status: 300 to 599.
        headers: fields of the answer; its framing (Content-Length, Connection) is the gateway's.
        body: the text of the answer.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""


class HandshakeGate(Protocol):
    """Asked whether a client is let in, in the order of configuration, before a backend is dialled.

    There is one for each entry of `gates`: that of the gateway serves all routes that have none of
    their own.

    May be `async def`, bounded by `limits.handshake-timeout`, after which the client gets 503. An
    exception refuses with 500.
    """

    def admit(self, handshake: Handshake) -> Refusal | None | Awaitable[Refusal | None]:
        """Return None to let the client in, or what it is answered."""
        ...
