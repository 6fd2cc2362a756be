"""Which headers the configuration may name: those of requests, and of answers to handshakes."""

from __future__ import annotations

import re

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\x20-\x7e\t\x80-\U0010ffff]*")
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "expect",
        "idempotency-key",
        "forwarded",
        "keep-alive",
        "proxy-connection",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-real-ip",
    }
)
_PREFIXES = ("x-wsgw-", "ce-", "webhook-", "sec-websocket-", "x-forwarded-")
# What a client says of its own connection or of answers that it can read, not the gateway
_NEVER_PASSED = frozenset({"accept-encoding", "host"})
_NEVER_PASSED_BACK = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NEVER_PASSED_BACK_PREFIXES = ("sec-websocket-", "x-wsgw-")


def check_name(name: str) -> str:
    """Return the name of a header that may be chosen.

    Raises:
        ValueError: it is none, or one that the gateway sets itself.
    """
    lower = name.lower()
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"not the name of a header: {name!r}")
    if lower in _OURS or lower.startswith(_PREFIXES):
        raise ValueError(f"the header {name} is set by the gateway")
    return name


def check_passed_name(name: str) -> str:
    """Return the name of a header of the client's that requests may have.

    Raises:
        ValueError: see check_name; or it is one that says nothing of these requests.
    """
    if check_name(name).lower() in _NEVER_PASSED:
        raise ValueError(f"the header {name} is set by the gateway")
    return name


def check_answer_name(name: str) -> str:
    """Return the name of a header of the application's that a client's 101 may have.

    Raises:
        ValueError: it is one that the gateway sets itself, or that belongs to the other leg.
    """
    lower = name.lower()
    if lower in _NEVER_PASSED_BACK or lower.startswith(_NEVER_PASSED_BACK_PREFIXES):
        raise ValueError(f"the header {name} is not one that the client can be given")
    return name


def check_value(name: str, value: str) -> None:
    """Check the value of a header, which errors do not quote.

    Raises:
        ValueError: it cannot be sent.
    """
    if _VALUE.fullmatch(value) is None:
        raise ValueError(f"the value of the header {name} has control characters")


def headers_in(text: str) -> tuple[tuple[str, str], ...]:
    """Return the headers of a file, one on each line.

    Raises:
        ValueError: a line is no header; it is named by its number.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"line {number} is not of the form Name: value")
        try:
            check_name(name.strip())
            check_value(name.strip(), value.strip())
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        found.append((name.strip(), value.strip()))
    return tuple(found)
