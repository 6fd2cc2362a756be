"""Gates decide who may open a session."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from .backend import Headers
from .headers import checked_headers


@dataclass(slots=True)
class Handshake:
    """A client's opening handshake, checked but not yet answered.

    Attributes:
        path: the request target; a gate may assign another. The route does not change.
        headers: the headers for the backend; a gate may assign others.
        subprotocols: the client's offers; a gate may assign fewer.
        peer: the client's address: `host:port` of its connection, or only the address if a trusted
            proxy reports it (`server.trusted-proxies`).
        route: the id of the client's route; empty if the gateway has no routes.
        host: the `Host` of the request.
        answer_headers: headers for the client's 101 beside the backend's; a gate may add some. The
            gateway ignores its own (Connection, Upgrade, `Sec-WebSocket-*`).
    """

    path: str
    headers: Headers
    subprotocols: tuple[str, ...]
    peer: str
    route: str = ""
    host: str = ""
    answer_headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer other than 101.

    Attributes:
        status: 300 to 599.
        headers: fields of the answer; the gateway sets its framing (Content-Length, Connection).
        body: the text of the answer.

    Raises:
        ValueError, TypeError: HTTP cannot have such an answer.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""

    def __post_init__(self) -> None:
        """Checks the answer, so that a fault shows where the plugin makes it."""
        if not 300 <= self.status <= 599:
            raise ValueError(f"the status of a refusal is 300 to 599, not {self.status}")
        object.__setattr__(self, "headers", checked_headers(self.headers))
        if not isinstance(self.body, bytes):
            raise TypeError(f"the body of a refusal is bytes, not {type(self.body).__name__}")


class HandshakeGate(Protocol):
    """Decides whether a client may open a session, before wsgw dials a backend.

    wsgw asks gates in the order of configuration. There is one object for each entry of `gates`: a
    gate of the gateway serves all routes that have no gates of their own.

    `admit` may be `async def`; `limits.handshake-timeout` limits it, then the client gets 503.
    After an exception the client gets 500, and also if `admit` returns something else or assigns
    a value that HTTP cannot carry, such as a header with a line break.
    """

    def admit(self, handshake: Handshake) -> Refusal | None | Awaitable[Refusal | None]:
        """Returns None to let the client in, or the answer that refuses it."""
