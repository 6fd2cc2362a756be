"""Packs messages and their properties; most of it once, at the dial."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import pamqp.frame
from pamqp import commands, encode
from pamqp.body import ContentBody
from pamqp.common import FieldValue
from pamqp.header import ContentHeader

from wsgw_core.api import BINARY, TEXT, Message, MessageKind

from .frame_splitter import BODY, FRAME_HEAD, HEADER, OWN_CHANNEL
from .handshake import cloudevents_prefix
from .settings import AmqpSettings

TAG = "wsgw-tag"
"""The header that distinguishes a returned message from another attempt to send it."""

CONTENT_TYPES = {TEXT: "text/plain; charset=utf-8", BINARY: "application/octet-stream"}
APP_ID = "wsgw"

_CONTENT_HEAD = struct.Struct("!HHQH")  # class, weight, bytes of the body, flags of the properties
_LONG = struct.Struct("!q")
_LENGTH = struct.Struct("!I")
_TIMESTAMP = struct.Struct("!Q")
_FRAME_OVERHEAD = 8
_OWN_PROPERTIES = 2048  # maximum bytes besides the session's headers; see `pack`
_BASIC = commands.Basic.Properties.frame_id
_FLAGS = commands.Basic.Properties.flags


def _long_entry(name: str) -> bytes:
    """Returns the start of a table's entry whose value is a long."""
    return encode.short_string(name) + b"l"


_TAG = _long_entry(TAG)
_NUMBER = _long_entry("wsgw-number")
_REPLAYED = encode.short_string("wsgw-replayed") + b"t\x01"


@lru_cache(maxsize=1)
def _packed_time(second: int) -> tuple[bytes, bytes]:
    """Returns a time as a timestamp, and as a long string of a table."""
    return _TIMESTAMP.pack(second), b"S" + encode.long_string(text_of_time(second))


def text_of_time(second: float) -> str:
    """Returns a time in the format of CloudEvents (RFC 3339)."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Envelope:
    """Packs the messages of one session on one link.

    Args:
        settings: the backend's.
        reply_to: the queue for replies.
        session_id: the session's.
        keys: the routing key of each kind of message.
        headers: headers of all messages.
        frame_max: maximum bytes of one frame.

    Attributes:
        keys: see above.
        fits: whether headers and properties fit into one frame.
    """

    def __init__(
        self,
        settings: AmqpSettings,
        reply_to: str,
        session_id: str,
        keys: Mapping[MessageKind, str],
        headers: Mapping[str, str],
        frame_max: int,
    ) -> None:
        self.keys = keys
        self._settings = settings
        self._reply_to = reply_to
        self._session_id = session_id
        self._body_max = frame_max - _FRAME_OVERHEAD
        self._publish = {kind: self._publish_frame(key) for kind, key in keys.items()}
        self._prefix = session_id.encode() + b"-"
        self._event_headers = headers
        prefix = cloudevents_prefix(settings)
        self._fixed = b"".join(_entry(name, value) for name, value in headers.items())
        if prefix:
            self._fixed += _entry(f"{prefix}type", "wsgw.message")
        self.fits = len(self._fixed) + _OWN_PROPERTIES <= self._body_max
        self._event_id = encode.short_string(f"{prefix}id") + b"S" if prefix else b""
        self._event_time = encode.short_string(f"{prefix}time") if prefix else b""
        # `pack` puts the message's own properties before, between and after these.
        properties = self._properties("")
        given = {name for name in properties.attributes() if _is_given(properties, name)}
        own = {"content_type", "headers", "message_id", "timestamp"}
        self._flags = sum(_FLAGS[name] for name in given | own)
        self._middle = _packed(properties, "delivery_mode", "expiration")
        self._end = _packed(properties, "message_type", "app_id")
        self._content_types = {
            kind: encode.short_string(content_type) for kind, content_type in CONTENT_TYPES.items()
        }

    def pack(self, name: str, tag: int, message: Message, number: int, *, replayed: bool) -> bytes:
        """Returns the frames that publish a message: method, header and bodies (AMQP 0-9-1, 2.3.5).

        Args:
            name: of the message in its session: its number, or `hN` for hydrations.
            tag: the delivery tag of the publish.
            message: the message.
            number: of the message in its session; 0: none.
            replayed: an earlier backend may have received the message.
        """
        stamp, text = _packed_time(int(time.time()))
        event_id = self._prefix + name.encode()
        table = [_TAG, _LONG.pack(tag)]
        if number:
            table += (_NUMBER, _LONG.pack(number))
        if self._event_id:
            table += (self._event_id, _LENGTH.pack(len(event_id)), event_id)
            table += (self._event_time, text)
        table.append(self._fixed)
        if replayed:
            table.append(_REPLAYED)
        headers = b"".join(table)
        data, kind = message.data, message.kind
        size = len(data)
        header = b"".join(
            (
                _CONTENT_HEAD.pack(_BASIC, 0, size, self._flags),
                self._content_types[kind],
                _LENGTH.pack(len(headers)),
                headers,
                self._middle,
                bytes((len(event_id),)),
                event_id,
                stamp,
                self._end,
            )
        )
        head = FRAME_HEAD.pack(HEADER, OWN_CHANNEL, len(header))
        if 0 < size <= self._body_max:
            body = FRAME_HEAD.pack(BODY, OWN_CHANNEL, size)
            return b"".join((self._publish[kind], head, header, b"\xce", body, data, b"\xce"))
        return b"".join((self._publish[kind], head, header, b"\xce", *self._body_frames(data)))

    def pack_event(
        self, name: str, tag: int, kind: str, key: str, body: bytes, *, replayed: bool
    ) -> bytes:
        """Returns the frames that publish an event of the session.

        Args:
            name: of the event in its session, such as `c0`.
            tag: the delivery tag of the publish.
            kind: `connect` or `disconnect`.
            key: the routing key.
            body: JSON.
            replayed: the event may have been published before.
        """
        now, event_type = time.time(), f"wsgw.{kind}"
        headers: dict[str, FieldValue] = {TAG: tag, **self._event_headers}
        if replayed:
            headers["wsgw-replayed"] = True
        if prefix := cloudevents_prefix(self._settings):
            headers |= {
                f"{prefix}id": f"{self._session_id}-{name}",
                f"{prefix}time": text_of_time(now),
                f"{prefix}type": event_type,
            }
        properties = self._properties(name, event_type)
        properties.content_type = "application/json"
        properties.headers = headers
        properties.timestamp = datetime.fromtimestamp(int(now), UTC)
        header = ContentHeader(body_size=len(body), properties=properties)
        frames = (self._publish_frame(key), pamqp.frame.marshal(header, OWN_CHANNEL))
        return b"".join((*frames, *self._body_frames(body)))

    def _properties(self, name: str, kind: str = "wsgw.message") -> commands.Basic.Properties:
        settings = self._settings
        seconds = settings.expiration
        return commands.Basic.Properties(
            delivery_mode=2 if settings.persistent else 1,
            priority=settings.priority,
            correlation_id=self._session_id,
            reply_to=self._reply_to,
            expiration=None if seconds is None else str(round(seconds * 1000)),
            message_id=f"{self._session_id}-{name}" if name else None,
            message_type=kind,
            app_id=APP_ID,
        )

    def _publish_frame(self, key: str) -> bytes:
        method = commands.Basic.Publish(
            exchange=self._settings.exchange, routing_key=key, mandatory=self._settings.mandatory
        )
        return pamqp.frame.marshal(method, OWN_CHANNEL)

    def _body_frames(self, data: bytes) -> list[bytes]:
        size = self._body_max
        parts = [data[start : start + size] for start in range(0, len(data), size)]
        return [pamqp.frame.marshal(ContentBody(part), OWN_CHANNEL) for part in parts]


def _entry(name: str, value: FieldValue) -> bytes:
    """Returns one entry of a table."""
    return encode.short_string(name) + encode.encode_table_value(value)


def _is_given(properties: commands.Basic.Properties, name: str) -> bool:
    return getattr(properties, name) not in (None, "")


def _packed(properties: commands.Basic.Properties, first: str, last: str) -> bytes:
    """Returns the properties from the first to the last, in the order of the wire."""
    names = properties.attributes()
    return b"".join(
        properties.encode_property(name, getattr(properties, name))
        for name in names[names.index(first) : names.index(last) + 1]
        if _is_given(properties, name)
    )
