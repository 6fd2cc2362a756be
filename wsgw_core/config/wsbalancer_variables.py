"""The environment variables that wsbalancer knows, as a table.

Imports nothing that is slow: `wsgw run --help` shows it.
"""

from __future__ import annotations

from typing import NamedTuple


class Variable(NamedTuple):
    """One variable.

    Attributes:
        name: what is set.
        type: what it holds, in words.
        default: what holds without it, as it would be written; empty: nothing.
        meaning: for people.
        key: the key path that it sets.
    """

    name: str
    type: str
    default: str
    meaning: str
    key: tuple[str, ...]


GATEWAY_VARIABLES = (
    Variable(
        "FE_ADDR", "address", ":8080", "where clients connect", ("server", "frontend", "address")
    ),
    Variable(
        "FE_READ_TIMEOUT",
        "duration",
        "10s",
        "how long a client may take to send its request",
        ("server", "frontend", "read-timeout"),
    ),
    Variable(
        "FE_WRITE_TIMEOUT", "duration", "10s", "no effect", ("server", "frontend", "write-timeout")
    ),
    Variable(
        "FE_MAX_HDR_BYTES",
        "size",
        "64KiB",
        "bound of the head of a client's request",
        ("server", "frontend", "max-header-bytes"),
    ),
    Variable(
        "ADM_ADDR",
        "address",
        "127.0.0.1:8081",
        "where operators connect",
        ("server", "admin", "address"),
    ),
    Variable(
        "ADM_READ_TIMEOUT",
        "duration",
        "10s",
        "how long an operator's request may take",
        ("server", "admin", "read-timeout"),
    ),
    Variable(
        "ADM_WRITE_TIMEOUT",
        "duration",
        "10s",
        "how long its answer may take",
        ("server", "admin", "write-timeout"),
    ),
    Variable(
        "ADM_MAX_HDR_BYTES",
        "size",
        "512KiB",
        "bound of the head of an operator's request",
        ("server", "admin", "max-header-bytes"),
    ),
    Variable("FE_RB_SIZE", "size", "1024", "no effect", ("server", "read-buffer-size")),
    Variable("FE_WB_SIZE", "size", "1024", "no effect", ("server", "write-buffer-size")),
    Variable(
        "FE_TRUST_XFF",
        "boolean",
        "true",
        "continue the X-Forwarded-For of clients",
        ("server", "trust-received-xff"),
    ),
    Variable(
        "BLOCK_HEADERS",
        "list",
        "",
        "headers of clients that no backend gets",
        ("server", "block-headers"),
    ),
    Variable(
        "RECONNECT_HDR",
        "text",
        "X-Balancer-Reconnect",
        "header that tells a backend of a failover",
        ("server", "reconnect-header"),
    ),
    Variable(
        "ENABLE_INST",
        "boolean",
        "false",
        "show wsbalancer's metrics too",
        ("server", "enable-instrumentation"),
    ),
    Variable(
        "LOG_LEVEL",
        "text",
        "WARN",
        "DEBUG, INFO, WARN or ERROR",
        ("server", "logging-level"),
    ),
)

BE_URLS = Variable(
    "BE_URLS", "list", "", "URLs of backends, ADDED to those of the file", ("upstream", "backends")
)
BE_URL_IDS = Variable(
    "BE_URL_IDS", "list", "", "ids of the backends in BE_URLS", ("upstream", "backends")
)

# Each for all websocket backends, over what the file says; the key is one of a backend.
BACKEND_VARIABLES = (
    Variable("BE_PING_TIME", "duration", "20s", "pause between pings", ("ping-time",)),
    Variable(
        "BE_HANDSHAKE_TIMEOUT",
        "duration",
        "10s",
        "bound of connecting and of the handshake",
        ("handshake-timeout",),
    ),
    Variable(
        "BE_BREAKER_THRESHOLD",
        "number",
        "10",
        "failures in a row after which one is left alone; negative: never",
        ("breaker-threshold",),
    ),
    Variable("BE_RB_SIZE", "size", "1024", "no effect", ("read-buffer-size",)),
    Variable("BE_WB_SIZE", "size", "1024", "no effect", ("write-buffer-size",)),
    Variable(
        "BE_ABNORMAL_CLOSE_CODES",
        "list",
        "1001,1006,1011,1012,1013,1014",
        "close codes that mean a failover, INSTEAD of the file's",
        ("abnormal-close-codes",),
    ),
)
BE_PASS_HEADERS = Variable(
    "BE_PASS_HEADERS",
    "list",
    "",
    "headers of backends that clients get, ADDED to the file's",
    ("pass-headers",),
)

ALL_VARIABLES = (
    *GATEWAY_VARIABLES,
    BE_URLS,
    BE_URL_IDS,
    *BACKEND_VARIABLES,
    BE_PASS_HEADERS,
)
