"""Makes routing keys, headers and the connect event of a session from its dial."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, quote

from wsgw_core.api import BINARY, TEXT, DialRequest, HandshakeField, MessageKind

from .settings import AmqpSettings, Event

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{1,256})?\Z")
_PREFIXES: Mapping[object, str] = {True: "cloudEvents:", "knative": "ce-", False: ""}
_KINDS = {TEXT: "text", BINARY: "binary"}
_MOST_FIELDS = 1000  # of a query string
_PEER = HandshakeField("peer")


def cloudevents_prefix(settings: AmqpSettings) -> str:
    """Returns the prefix of CloudEvents' headers; empty: no such headers."""
    return _PREFIXES[settings.cloudevents]


@dataclass(frozen=True, slots=True)
class SessionHandshake:
    """The values for messages and events of a session, from one dial.

    Attributes:
        session_id: the session's.
        keys: the routing keys of messages by kind.
        event_keys: the routing keys of the events that are published.
        headers: headers of all messages and events.
        details: the body of the connect event.
    """

    session_id: str
    keys: Mapping[MessageKind, str]
    event_keys: Mapping[Event, str]
    headers: Mapping[str, str]
    details: Mapping[str, object]

    @property
    def all_keys(self) -> Iterable[str]:
        """All routing keys that the session may use."""
        return {*self.keys.values(), *self.event_keys.values()}


def read_handshake(
    settings: AmqpSettings, request: DialRequest, subprotocol: str | None
) -> SessionHandshake:
    """Returns the values for a session, from its dial.

    Raises:
        BackendDeclined: with 400; a value of the handshake does not fit the routing key.
    """
    template = settings.routing_key
    keys = {
        kind: template.expand(request, subprotocol, event="message", kind=name)
        for kind, name in _KINDS.items()
    }
    event_keys: dict[Event, str] = {
        event: template.expand(request, subprotocol, event=event, kind="text")
        for event in settings.events
        if event != "message"
    }
    path, _, query = request.path.partition("?")
    carried = {name.lower(): _header(request, name) for name in settings.headers}
    found = {name: value for name, value in carried.items() if value is not None}
    headers = {
        "wsgw-path": path,
        "traceparent": _traceparent(request),
        **{f"http-{name}": value for name, value in found.items()},
    }
    if prefix := cloudevents_prefix(settings):
        headers |= {
            f"{prefix}specversion": "1.0",
            f"{prefix}source": "/wsgw",
            f"{prefix}subject": quote(path, safe="/%:@!$&'()*+,;=~-._"),
            f"{prefix}partitionkey": request.session_id,
        }
    details = {
        "path": path,
        "query": parse_qs(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        if query.count("&") < _MOST_FIELDS
        else {},
        "headers": found,
        "subprotocols": list(request.subprotocols),
        "subprotocol": subprotocol,
        "peer": _PEER.of(request) or "",
        "reconnect": request.reconnect,
        "replayed": _count(_header(request, "X-Wsgw-Replayed")),
    }
    return SessionHandshake(request.session_id, keys, event_keys, headers, details)


def _header(request: DialRequest, name: str) -> str | None:
    name = name.lower()
    values = [value for field, value in request.headers if field.lower() == name]
    return ", ".join(values) if values else None


def _traceparent(request: DialRequest) -> str:
    """Returns the client's `traceparent`, or a new one without the flag "sampled"."""
    given = _header(request, "traceparent")
    if given is not None and _TRACEPARENT.match(given):
        return given
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
