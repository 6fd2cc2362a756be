"""Websocket connections, either side: bytes to messages and back (RFC 6455).

`Endpoint` is one connection after its opening handshake: it joins fragments, checks what arrives,
answers pings and closes properly. Frames are read and written by picows, which `framing` attaches
to a transport; `compression` is permessage-deflate; `head` reads HTTP heads within bounds;
`tls_transport` puts TLS between.
"""

from .close_codes import reason_bytes, sendable
from .compression import CompressionOptions, Deflate
from .endpoint import Endpoint, EndpointEvents
from .framing import attach
from .head import HeadReader, HeadTooLarge, StrayByte
from .silence import Backlog
from .tls_transport import TlsTransport, make_scratch

__all__ = [
    "Backlog",
    "CompressionOptions",
    "Deflate",
    "Endpoint",
    "EndpointEvents",
    "HeadReader",
    "HeadTooLarge",
    "StrayByte",
    "TlsTransport",
    "attach",
    "make_scratch",
    "reason_bytes",
    "sendable",
]
