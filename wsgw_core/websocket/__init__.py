"""Websocket connections, either side: bytes to messages and back (RFC 6455).

`Endpoint` is one connection after its opening handshake: it checks what arrives, answers pings and
closes properly. `frames` reads and writes frames; a `FramedMessage` (`framed_message`) is sent on
in the frame in which it came; `fragments` joins what comes in several; `compression` is
permessage-deflate; `close_codes` says which codes may be sent; `silence` whether a peer still
reads; `head` reads HTTP heads within bounds; `tls_transport` puts TLS between.
"""

from .close_codes import reason_bytes, sendable
from .compression import CompressionOptions, Deflate
from .endpoint import Endpoint, EndpointEvents
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
