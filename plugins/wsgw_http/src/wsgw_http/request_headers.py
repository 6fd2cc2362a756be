"""The headers of the requests of one session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Literal

from wsgw_core.api import DialRequest

from . import cloud_events
from .session_record import SessionRecord
from .settings import HttpSettings
from .signatures import Signer
from .trace_context import TraceContext

Event = Literal["connect", "message", "disconnect"]
Pairs = tuple[tuple[str, str], ...]

_OURS = (("User-Agent", "wsgw"), ("Accept", "*/*"), ("Accept-Encoding", "identity"))
_FORWARDED = ("forwarded", "x-real-ip")


class HeaderMaker:
    """What all sessions of a backend share.

    Args:
        settings: the backend's.
        fixed: returns the headers that the configuration gives.
        signer: signs requests; None: they are not signed.
    """

    def __init__(
        self, settings: HttpSettings, fixed: Callable[[], Pairs], signer: Signer | None
    ) -> None:
        self.signer = signer
        self.cloudevents = settings.cloudevents
        self.push_url = settings.push_url
        self._passed = frozenset(name.lower() for name in settings.pass_headers)
        self._fixed = fixed
        self._seen: Pairs | None = None
        self._lines = b""
        self._has_host = False

    def passed(self, headers: Iterable[tuple[str, str]]) -> Pairs:
        """Return those of a client's headers that the configuration names."""
        return tuple(pair for pair in headers if pair[0].lower() in self._passed)

    def beginning(self, host: str) -> bytes:
        """Return the lines with which the head of each request to a host begins."""
        fixed = self._fixed()
        if fixed is not self._seen:
            self._seen = fixed
            names = {name.lower() for name, _ in fixed}
            ours = tuple(pair for pair in _OURS if pair[0].lower() not in names)
            self._lines = _lines((*ours, *fixed), "utf-8")
            self._has_host = "host" in names
        return self._lines if self._has_host else b"Host: %s\r\n%s" % (host.encode(), self._lines)


class RequestHeaders:
    """Makes the header lines of each request of one session.

    Args:
        maker: of the backend.
        request: the dial.
        record: of the session.
    """

    __slots__ = ("_constant", "_maker", "_record", "_trace")

    def __init__(self, maker: HeaderMaker, request: DialRequest, record: SessionRecord) -> None:
        self._maker = maker
        self._record = record
        self._trace = TraceContext(request.headers)
        forwarded = (pair for pair in request.headers if _is_forwarding(pair[0].lower()))
        own: Pairs = (("X-Wsgw-Session", record.session_id),)
        if maker.push_url is not None:
            own += (("X-Wsgw-Push", f"{maker.push_url}/session/send/{record.session_id}"),)
        if maker.cloudevents:
            path = request.path.partition("?")[0]
            own += cloud_events.constant_headers(record.session_id, path)
        # what came is sent on byte for byte
        self._constant = _lines((*maker.passed(request.headers), *forwarded), "latin-1")
        self._constant += _lines(own, "ascii")

    def make(
        self,
        event: Event,
        event_id: str,
        host: str,
        content_type: str,
        body: bytes,
        *,
        number: int = 0,
        replayed: bool = False,
    ) -> bytes:
        """Return the header lines of one attempt.

        Args:
            event: what the request tells.
            event_id: the same for each attempt.
            host: of the URL.
            content_type: of the body.
            body: as it is sent.
            number: of a message in its session; 0: it has none.
            replayed: the application may have had this event before.
        """
        maker, state = self._maker, self._record.state
        lines = (
            f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
            f'X-Wsgw-Event: {event}\r\nIdempotency-Key: "{event_id}"\r\n'
        )
        if number:
            lines += f"X-Wsgw-Number: {number}\r\n"
        if replayed:
            lines += "X-Wsgw-Replayed: 1\r\n"
        pairs = self._trace.headers()
        if maker.cloudevents or maker.signer is not None:
            now = time.time()
            if maker.cloudevents:
                pairs += cloud_events.event_headers(event, event_id, now)
            if maker.signer is not None:
                pairs += maker.signer.headers(event_id, int(now), body)
        made = lines.encode() + _lines(pairs, "latin-1")
        if state:  # as it came
            made += f"X-Wsgw-State: {state}\r\n".encode(errors="surrogateescape")
        return maker.beginning(host) + self._constant + made


def _lines(pairs: Iterable[tuple[str, str]], encoding: str) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in pairs]).encode(encoding)


def _is_forwarding(name: str) -> bool:
    return name.startswith("x-forwarded-") or name in _FORWARDED
