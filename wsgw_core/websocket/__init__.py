"""Websocket connections for both sides: bytes to messages and back (RFC 6455).

endpoint          `Endpoint`: one connection after its opening handshake; checks what arrives
sender            its first base class: writes frames
turns             its second: shares the event loop with other connections
closer            its third: closes the connection
endpoint_events   the events of a connection
frames            reads and writes frames
framed_message    `FramedMessage`: a message that is sent on in the frame in which it came
fragments         joins the frames of one message
compression       permessage-deflate
session_ends      which close code each side sees for which event
silence           how long a peer has been silent, and whether it still reads
head              reads HTTP heads within limits
tls_transport     TLS between a TCP transport and the protocol above
"""

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
]
