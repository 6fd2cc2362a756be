"""Checks the headers that the configuration names, for requests and for handshake answers."""

from __future__ import annotations

import re

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\x20-\x7e\t\x80-\U0010ffff]*")
_OF_ONE_CONNECTION = frozenset(
    {
        "connection",
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
_SET_BY_WSGW = {"expect", "forwarded", "idempotency-key", "traceparent", "tracestate", "x-real-ip"}
_OURS = _OF_ONE_CONNECTION | _SET_BY_WSGW
_PREFIXES = ("x-wsgw-", "ce-", "webhook-", "sec-websocket-", "x-forwarded-")
# These describe the client's own connection, or what the client can decode.
_NEVER_PASSED = frozenset({"accept-encoding", "host"})
_NEVER_PASSED_BACK = _OF_ONE_CONNECTION | {"content-encoding"}
_NEVER_PASSED_BACK_PREFIXES = ("sec-websocket-", "x-wsgw-")


def check_name(name: str) -> str:
    """Returns the name of a header that the configuration may set.

    Raises:
        ValueError: it is not a header name, or the gateway sets this header itself.
    """
    lower = name.lower()
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not the name of a header")
    if lower in _OURS or lower.startswith(_PREFIXES):
        raise ValueError(f"the gateway sets the header {name} itself; choose another name")
    return name


def check_passed_name(name: str) -> str:
    """Returns the name of a client's header that wsgw may pass on in requests.

    Raises:
        ValueError: see check_name; or the header describes the client's own connection.
    """
    if check_name(name).lower() in _NEVER_PASSED:
        raise ValueError(f"the gateway sets the header {name} itself; choose another name")
    return name


def check_answer_name(name: str) -> str:
    """Returns the name of an application's header that wsgw may pass on in a client's 101 answer.

    Raises:
        ValueError: the gateway sets the header itself, or it describes the other connection.
    """
    lower = name.lower()
    if lower in _NEVER_PASSED_BACK or lower.startswith(_NEVER_PASSED_BACK_PREFIXES):
        raise ValueError(f"the header {name} cannot be passed on to the client")
    return name


def check_value(name: str, value: str) -> None:
    """Checks the value of a header, which may be a secret: errors do not quote it.

    Raises:
        ValueError: the value has control characters.
    """
    if _VALUE.fullmatch(value) is None:
        raise ValueError(f"the value of the header {name} has control characters; remove them")


def headers_in(text: str) -> tuple[tuple[str, str], ...]:
    """Returns the headers in a file, one on each line.

    Raises:
        ValueError: a line is not a valid header; the text has the number of the line.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"line {number}: not of the form 'Name: value'")
        try:
            check_name(name.strip())
            check_value(name.strip(), value.strip())
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        found.append((name.strip(), value.strip()))
    return tuple(found)
