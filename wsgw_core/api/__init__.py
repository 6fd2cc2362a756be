"""The contract between the gateway and its plugins: everything that a plugin may import.

Message         what is carried; ReplyExpected: delivered when answered
Backend         one configured backend; connects sessions
Close           how a connection ended, and what that means: `close`
BackendConnection / Sink   the two ends of one session's connection to one backend
Valve           one configured valve; makes a MessageValve for each session
MessageValve    sees and changes messages of one session
SessionListener follows sessions
HandshakeGate   decides who may open a session
Session         what plugins see of a client's websocket
TlsClientOptions / ClientTls   how a backend is spoken to over TLS
hookimpl        marks the functions with which a plugin registers: `hookspecs`, `registry`
OrderedConnection   a connection with one task for each session: `ordered_connection`
WindowedConnection / SharedLink / ReplyBuffers   for kinds whose sessions share one broker:
                `windowed_connection`, `shared_link`, `reply_buffers`
BackendControl  what a backend can say of all its sessions at once: `backend_control`
Template / UrlTemplate   names and URLs made from a client's handshake: `template`,
                `url_template`
Subprotocols    which one a session gets from a kind to which they mean nothing
ReadBatch       messages that arrive in one read leave in one write: `read_batch`
Turns           callbacks that share each turn of the event loop with all else: `turns`
RareWarning     logs at most once a minute: `rare_warning`
Resolver        addresses of names, and connections to them: `resolver`
Metrics         counters, gauges and histograms: `metrics`
PlayedBackend   how `wsgw drill` plays a backend of a kind: `played_backend`
aside           keeps what may take long off the event loop: `daemon_thread`
FileName        the type of an option that names a file: `options`
read_bytes      how the files are read that an operator names: `bounded_file`
GatewayError    and all others: `errors`

No module in here does I/O, but for `tls`, which reads certificates; and the core never names a
plugin.
"""

from .backend import (
    Backend,
    BackendConnection,
    BackendContext,
    Clock,
    DialRequest,
    Headers,
    HoldingConnection,
    Limits,
    NumberedConnection,
    PingableConnection,
    SessionTrackingBackend,
    Sink,
)
from .backend_control import BackendControl, ReplyOutcome
from .bounded_file import read_bytes
from .close import Close, CloseCause, EndMeaning
from .daemon_thread import aside
from .errors import (
    BackendDeclined,
    BackendError,
    BackendUnavailable,
    BackendUnreachable,
    CloseSession,
    ConfigurationError,
    GatewayError,
    OutOfResources,
    PluginError,
    UnusableAnswer,
    unavailable,
)
from .gate import Handshake, HandshakeGate, Refusal
from .hookspecs import API_VERSION, ENTRY_POINT_GROUP, hookimpl
from .message import BINARY, TEXT, Message, MessageKind, ReplyExpected
from .metrics import Counter, Histogram, Labelled, Metrics
from .options import Duration, FileName, HeaderName, Options, Size
from .ordered_connection import OrderedConnection
from .played_backend import PlayedBackend
from .rare_warning import RareWarning
from .read_batch import ReadBatch
from .registry import (
    BackendRegistry,
    GateRegistry,
    ListenerRegistry,
    PluginContext,
    ValveRegistry,
)
from .reply_buffers import ReplyBuffers
from .resolver import AddressInfo, Resolver
from .session import Session, SessionListener
from .shared_link import SharedLink
from .subprotocols import Subprotocols
from .template import Template
from .tls import ClientTls, TlsClientOptions, tls_error_text
from .turns import Turns
from .url_template import UrlTemplate
from .valve import HydratingValve, Hydration, MessageValve, PluginLife, Valve, per_session
from .windowed_connection import WindowedConnection

__all__ = [
    "API_VERSION",
    "BINARY",
    "ENTRY_POINT_GROUP",
    "TEXT",
    "AddressInfo",
    "Backend",
    "BackendConnection",
    "BackendContext",
    "BackendControl",
    "BackendDeclined",
    "BackendError",
    "BackendRegistry",
    "BackendUnavailable",
    "BackendUnreachable",
    "ClientTls",
    "Clock",
    "Close",
    "CloseCause",
    "CloseSession",
    "ConfigurationError",
    "Counter",
    "DialRequest",
    "Duration",
    "EndMeaning",
    "FileName",
    "GateRegistry",
    "GatewayError",
    "Handshake",
    "HandshakeGate",
    "HeaderName",
    "Headers",
    "Histogram",
    "HoldingConnection",
    "HydratingValve",
    "Hydration",
    "Labelled",
    "Limits",
    "ListenerRegistry",
    "Message",
    "MessageKind",
    "MessageValve",
    "Metrics",
    "NumberedConnection",
    "Options",
    "OrderedConnection",
    "OutOfResources",
    "PingableConnection",
    "PlayedBackend",
    "PluginContext",
    "PluginError",
    "PluginLife",
    "RareWarning",
    "ReadBatch",
    "Refusal",
    "ReplyBuffers",
    "ReplyExpected",
    "ReplyOutcome",
    "Resolver",
    "Session",
    "SessionListener",
    "SessionTrackingBackend",
    "SharedLink",
    "Sink",
    "Size",
    "Subprotocols",
    "Template",
    "TlsClientOptions",
    "Turns",
    "UnusableAnswer",
    "UrlTemplate",
    "Valve",
    "ValveRegistry",
    "WindowedConnection",
    "aside",
    "hookimpl",
    "per_session",
    "read_bytes",
    "tls_error_text",
    "unavailable",
]
