"""The contract between the gateway and its plugins: everything that a plugin may import.

Message         one whole message. ReplyExpected counts as delivered when answered, SentOnce is
                never replayed, Goodbye is a client's last one: `message`
Backend         one configured backend; connects sessions: `backend`
BackendConnection / Sink   the two ends of one session's connection to one backend
Close           how a connection ended, and what that means: `close`
CloseCode       the close codes of RFC 6455: `close_codes`
Valve           one configured valve; makes a MessageValve for each session: `valve`
MessageValve    sees and changes the messages of one session
Session         a client's websocket as plugins see it: `session`
SessionListener follows sessions
HandshakeGate   decides who may open a session: `gate`
Policy          decides which backend a session gets: `policy`
TlsClientOptions / ClientTls   TLS to a backend: `tls`
hookimpl        marks the functions with which a plugin registers: `hookspecs`, `registry`
OrderedConnection   a connection with one task for each session: `ordered_connection`
WindowedConnection / SharedLink / ReplyBuffers   for kinds whose sessions share one broker:
                `windowed_connection`, `shared_link`, `reply_buffers`
BackendControl  what a backend reports about all its sessions at once: `backend_control`
Template / UrlTemplate   names and URLs made from a client's handshake: `template`,
                `url_template`
HandshakeField  one value of a client's handshake: `handshake_values`
PathPattern     a pattern for the paths of requests: `path_pattern`
TextOption      the base of these options, which are written as one text: `text_option`
Subprotocols    chooses a subprotocol for a kind that does not interpret them: `subprotocols`
ReadBatch       sends in one write what arrived in one read: `read_batch`
Turns           shares each turn of the event loop between connections: `turns`
without_headers a client's headers without those that a plugin sets: `headers`
RareWarning     logs at most once a minute: `rare_warning`
Resolver        looks names up and connects to their addresses: `resolver`
Metrics         counters, gauges and histograms: `metrics`
PlayedBackend   how `wsgw drill` plays a backend of a kind: `played_backend`
run_in_thread   runs a blocking call off the event loop: `daemon_thread`
FileName        the type of an option that names a file: `options`
read_bytes      reads a file that an operator names: `bounded_file`
WatchedFile / read_parsed   a small text file, read again when it has changed: `watched_file`
GatewayError    and all other errors: `errors`

Only the modules that read files do I/O. The core never names a plugin.
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
    LingeringBackend,
    NumberedConnection,
    PingableConnection,
    SessionTrackingBackend,
    Sink,
)
from .backend_control import BackendControl, ReplyOutcome
from .bounded_file import read_bytes
from .close import Close, CloseCause, EndMeaning
from .close_codes import CloseCode
from .daemon_thread import run_in_thread
from .errors import (
    BackendDeclined,
    BackendError,
    BackendUnavailable,
    BackendUnreachable,
    CloseSession,
    ConfigurationError,
    GatewayError,
    HydrationRefused,
    OutOfResources,
    PluginError,
    UnusableAnswer,
    unavailable,
)
from .gate import Handshake, HandshakeGate, Refusal
from .handshake_values import HandshakeField
from .headers import without_headers
from .hookspecs import API_VERSION, ENTRY_POINT_GROUP, hookimpl
from .message import BINARY, TEXT, Goodbye, Message, MessageKind, ReplyExpected, SentOnce
from .metrics import Counter, Histogram, Labelled, Metrics
from .options import Duration, FileName, HeaderName, HeaderValue, Options, PlainText, Size
from .ordered_connection import OrderedConnection
from .path_pattern import PathPattern, normal_path
from .played_backend import PlayedBackend
from .policy import Candidate, Policy
from .rare_warning import RareWarning
from .read_batch import ReadBatch
from .registry import (
    BackendRegistry,
    GateRegistry,
    ListenerRegistry,
    PluginContext,
    PolicyRegistry,
    ValveRegistry,
)
from .reply_buffers import ReplyBuffers
from .resolver import AddressInfo, Resolver
from .session import Session, SessionListener
from .shared_link import SharedLink
from .subprotocols import Subprotocols
from .template import Template
from .text_option import TextOption
from .tls import ClientTls, TlsClientOptions, tls_error_text
from .turns import Turns
from .url_template import UrlTemplate
from .valve import (
    HoldingValve,
    HydratingValve,
    Hydration,
    MessageValve,
    PluginLife,
    Valve,
    per_session,
)
from .watched_file import WatchedFile, read_parsed
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
    "Candidate",
    "ClientTls",
    "Clock",
    "Close",
    "CloseCause",
    "CloseCode",
    "CloseSession",
    "ConfigurationError",
    "Counter",
    "DialRequest",
    "Duration",
    "EndMeaning",
    "FileName",
    "GateRegistry",
    "GatewayError",
    "Goodbye",
    "Handshake",
    "HandshakeField",
    "HandshakeGate",
    "HeaderName",
    "HeaderValue",
    "Headers",
    "Histogram",
    "HoldingConnection",
    "HoldingValve",
    "HydratingValve",
    "Hydration",
    "HydrationRefused",
    "Labelled",
    "Limits",
    "LingeringBackend",
    "ListenerRegistry",
    "Message",
    "MessageKind",
    "MessageValve",
    "Metrics",
    "NumberedConnection",
    "Options",
    "OrderedConnection",
    "OutOfResources",
    "PathPattern",
    "PingableConnection",
    "PlainText",
    "PlayedBackend",
    "PluginContext",
    "PluginError",
    "PluginLife",
    "Policy",
    "PolicyRegistry",
    "RareWarning",
    "ReadBatch",
    "Refusal",
    "ReplyBuffers",
    "ReplyExpected",
    "ReplyOutcome",
    "Resolver",
    "SentOnce",
    "Session",
    "SessionListener",
    "SessionTrackingBackend",
    "SharedLink",
    "Sink",
    "Size",
    "Subprotocols",
    "Template",
    "TextOption",
    "TlsClientOptions",
    "Turns",
    "UnusableAnswer",
    "UrlTemplate",
    "Valve",
    "ValveRegistry",
    "WatchedFile",
    "WindowedConnection",
    "hookimpl",
    "normal_path",
    "per_session",
    "read_bytes",
    "read_parsed",
    "run_in_thread",
    "tls_error_text",
    "unavailable",
    "without_headers",
]
