"""wsbalancer's environment variables, as a table.

Imports nothing slow, because `wsgw run --help` shows the table.
"""

from __future__ import annotations

from typing import NamedTuple


class Variable(NamedTuple):
    """One variable.

    Attributes:
        name: its name.
        type: the type of its value, in words.
        default: the value if it is not set, as text; may be empty.
        meaning: its description.
        key: the key that it sets, such as `server.frontend.address`; a key of a backend, if the
            variable applies to backends.
    """

    name: str
    type: str
    default: str
    meaning: str
    key: str


GATEWAY_VARIABLES = (
    Variable("FE_ADDR", "address", ":8080", "where clients connect", "server.frontend.address"),
    Variable(
        "FE_READ_TIMEOUT",
        "duration",
        "10s",
        "maximum time for a client to send its request",
        "server.frontend.read-timeout",
    ),
    Variable("FE_WRITE_TIMEOUT", "duration", "10s", "no effect", "server.frontend.write-timeout"),
    Variable(
        "FE_MAX_HDR_BYTES",
        "size",
        "64KiB",
        "maximum size of the head of a client's request",
        "server.frontend.max-header-bytes",
    ),
    Variable(
        "ADM_ADDR", "address", "127.0.0.1:8081", "where operators connect", "server.admin.address"
    ),
    Variable(
        "ADM_READ_TIMEOUT",
        "duration",
        "10s",
        "maximum time of an operator's request",
        "server.admin.read-timeout",
    ),
    Variable(
        "ADM_WRITE_TIMEOUT",
        "duration",
        "10s",
        "maximum time of its answer",
        "server.admin.write-timeout",
    ),
    Variable(
        "ADM_MAX_HDR_BYTES",
        "size",
        "512KiB",
        "maximum size of the head of an operator's request",
        "server.admin.max-header-bytes",
    ),
    Variable("FE_RB_SIZE", "size", "1024", "no effect", "server.read-buffer-size"),
    Variable("FE_WB_SIZE", "size", "1024", "no effect", "server.write-buffer-size"),
    Variable(
        "FE_TRUST_XFF",
        "boolean",
        "true",
        "extend the X-Forwarded-For of clients",
        "server.trust-received-xff",
    ),
    Variable(
        "BLOCK_HEADERS",
        "list",
        "",
        "client headers that neither gates nor backends get",
        "server.block-headers",
    ),
    Variable(
        "RECONNECT_HDR",
        "text",
        "X-Balancer-Reconnect",
        "header that reports a failover to the backend",
        "server.reconnect-header",
    ),
    Variable(
        "ENABLE_INST",
        "boolean",
        "false",
        "show wsbalancer's metrics too",
        "server.enable-instrumentation",
    ),
    Variable("LOG_LEVEL", "text", "WARN", "DEBUG, INFO, WARN or ERROR", "server.logging-level"),
)

BE_URLS = Variable(
    "BE_URLS", "list", "", "URLs of backends, ADDED to those of the file", "upstream.backends"
)
BE_URL_IDS = Variable(
    "BE_URL_IDS", "list", "", "ids of the backends in BE_URLS", "upstream.backends"
)

# Each applies to all websocket backends and overrides the file; the key is a backend's key.
BACKEND_VARIABLES = (
    Variable("BE_PING_TIME", "duration", "20s", "pause between pings", "ping-time"),
    Variable(
        "BE_HANDSHAKE_TIMEOUT",
        "duration",
        "10s",
        "maximum time to connect and for the handshake",
        "handshake-timeout",
    ),
    Variable(
        "BE_BREAKER_THRESHOLD",
        "number",
        "10",
        "skip a backend after this many failures in a row; negative: never",
        "breaker-threshold",
    ),
    Variable("BE_RB_SIZE", "size", "1024", "no effect", "read-buffer-size"),
    Variable("BE_WB_SIZE", "size", "1024", "no effect", "write-buffer-size"),
    Variable(
        "BE_ABNORMAL_CLOSE_CODES",
        "list",
        "1001,1006,1011,1012,1013,1014",
        "close codes that mean a failover, INSTEAD of the file's",
        "abnormal-close-codes",
    ),
)
BE_PASS_HEADERS = Variable(
    "BE_PASS_HEADERS",
    "list",
    "",
    "headers of backends that clients get, ADDED to the file's",
    "pass-headers",
)

ALL_VARIABLES = (
    *GATEWAY_VARIABLES,
    BE_URLS,
    BE_URL_IDS,
    *BACKEND_VARIABLES,
    BE_PASS_HEADERS,
)
