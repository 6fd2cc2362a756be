"""Websocket connections, either side: bytes to messages and back (RFC 6455).

`Endpoint` (`endpoint`) is one connection after its opening handshake: it checks what arrives and
answers pings. Its base classes do the rest: `sender` writes frames, `turns` shares the event loop
with other connections, `closer` closes. `endpoint_events` lists the events of a connection.
`frames` reads and writes frames; a `FramedMessage` (`framed_message`) is sent on in the frame in
which it came; `fragments` joins what comes in several; `compression` is permessage-deflate;
`close_codes` says which codes may be sent, `session_ends` which code each side sees at which
event; `silence` whether a peer still reads; `head` reads HTTP heads within bounds;
`tls_transport` puts TLS between.
"""

from .close_codes import reason_bytes, sendable
from .compression import CompressionOptions, Deflate
from .endpoint import Endpoint
from .endpoint_events import EndpointEvents
from .head import HeadReader, HeadTooLarge, StrayByte
from .silence import LEAST_RATE, Backlog
from .tls_transport import TlsTransport, make_scratch

__all__ = [
    "LEAST_RATE",
    "Backlog",
    "CompressionOptions",
    "Deflate",
    "Endpoint",
    "EndpointEvents",
    "HeadReader",
    "HeadTooLarge",
    "StrayByte",
    "TlsTransport",
    "make_scratch",
    "reason_bytes",
    "sendable",
]
