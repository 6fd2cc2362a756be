"""The format of messages, replies and events in NATS: payload and headers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nats.aio.msg import Msg

from wsgw_core.api import BINARY, TEXT, Close, CloseCause, CloseCode, DialRequest, Message

MESSAGE_ID = "Nats-Msg-Id"  # JetStream recognises duplicates by it
TYPE = "Wsgw-Type"
REPLY_TO = "Wsgw-Reply-To"
CODE = "Wsgw-Code"

HEADER_ROOM = 1024
"""Maximum bytes of a message's headers, which count for the server's limit."""

Headers = dict[str, str]
_LONGEST_REASON = 123  # bytes; RFC 6455 section 5.5


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a session for workers.

    Attributes:
        type: `connect` or `disconnect`.
        subject: the session's.
        data: JSON.
        headers: see above.
    """

    type: str
    subject: str
    data: bytes
    headers: Headers


def message_headers(session_id: str, number: int, type_: str, reply_to: str) -> Headers:
    """Returns the headers of a client's message; a hydration has no number and therefore no id."""
    if not number:
        return {TYPE: type_, REPLY_TO: reply_to}
    return {MESSAGE_ID: f"{session_id}-{number}", TYPE: type_, REPLY_TO: reply_to}


def connect_event(
    request: DialRequest,
    subject: str,
    subprotocol: str | None,
    reply_to: str,
    told: Iterable[str],
) -> Event:
    """Returns the connect event of a session.

    Args:
        request: the dial.
        subject: the session's.
        subprotocol: the session's.
        reply_to: the subject for its replies.
        told: names of the headers in the event.
    """
    names = {name.lower() for name in told}
    facts = {
        "session": request.session_id,
        "path": request.path,
        "peer": request.peer,
        "route": request.route,
        "subprotocol": subprotocol,
        "headers": [[name, value] for name, value in request.headers if name.lower() in names],
        "reconnect": request.reconnect,
        "seen_up_to": request.seen_up_to,
    }
    event_id = f"{request.session_id}-c{request.seen_up_to}"
    return Event("connect", subject, *_event(facts, event_id, "connect", reply_to))


def disconnect_event(
    session_id: str, subject: str, close: Close, cause: CloseCause, reply_to: str
) -> Event:
    """Returns the disconnect event of a session."""
    facts = {
        "session": session_id,
        "code": close.code,
        "reason": close.reason,
        "cause": cause.value,
    }
    return Event("disconnect", subject, *_event(facts, f"{session_id}-d", "disconnect", reply_to))


def _event(facts: Any, event_id: str, type_: str, reply_to: str) -> tuple[bytes, Headers]:
    headers = {MESSAGE_ID: event_id, TYPE: type_, REPLY_TO: reply_to}
    return json.dumps(facts).encode(), headers


def read_reply(msg: Msg) -> Message | Close:
    """Parses a reply: a message, or the close of the session.

    Raises:
        ValueError: the reply is neither.
    """
    headers = msg.headers or {}
    match headers.get(TYPE, "text"):
        case "text":
            msg.data.decode()  # raises UnicodeDecodeError, which is a ValueError
            return Message(TEXT, msg.data)
        case "binary":
            return Message(BINARY, msg.data)
        case "close":
            code = int(headers.get(CODE, "1000"))
            if not CloseCode.may_be_sent(code) or len(msg.data) > _LONGEST_REASON:
                raise ValueError("not a close that may be sent")
            return Close(code, msg.data.decode())
        case other:
            raise ValueError(f"unknown type {other[:40]!r}")
