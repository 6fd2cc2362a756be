"""The headers of the requests of one session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Literal

from wsgw_core.api import DialRequest, without_headers

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
    """What the headers of all sessions of a backend share.

    Args:
        settings: the backend's.
        fixed: returns the configured headers.
        signer: signs requests; None: wsgw does not sign them.
    """

    def __init__(
        self, settings: HttpSettings, fixed: Callable[[], Pairs], signer: Signer | None
    ) -> None:
        self.signer = signer
        self.cloudevents = settings.cloudevents
        self.push_url = settings.push_url
        self._passed = frozenset(name.lower() for name in settings.pass_headers)
        self._fixed = fixed
        self._without_client = Beginning(fixed, ())

    def passed(self, headers: Iterable[tuple[str, str]]) -> Pairs:
        """Returns the client's headers that the configuration passes on."""
        return tuple(pair for pair in headers if pair[0].lower() in self._passed)

    def beginning(self, passed: Pairs = ()) -> Beginning:
        """Returns the first header lines of requests.

        Args:
            passed: the client's headers that each request has.
        """
        return Beginning(self._fixed, passed) if passed else self._without_client


class Beginning:
    """The first header lines of requests.

    Each header occurs once: as configured, else as the client sent it, else as wsgw sets it.

    Args:
        fixed: returns the configured headers; the same object until they change.
        passed: headers of the client.
    """

    __slots__ = ("_fixed", "_has_host", "_lines", "_passed", "_seen")

    def __init__(self, fixed: Callable[[], Pairs], passed: Pairs) -> None:
        self._fixed = fixed
        self._passed = passed
        self._seen: Pairs | None = None
        self._lines = b""
        self._has_host = False

    def to(self, host: str) -> bytes:
        """Returns the lines of a request to a host."""
        fixed = self._fixed()
        if fixed is not self._seen:
            self._seen = fixed
            names = [name for name, _ in fixed]
            passed = without_headers(self._passed, names)
            names += [name for name, _ in passed]
            # the client's headers are passed on byte for byte
            self._lines = _lines((*without_headers(_OURS, names), *fixed), "utf-8")
            self._lines += _lines(passed, "latin-1")
            self._has_host = any(name.lower() == "host" for name in names)
        return self._lines if self._has_host else b"Host: %s\r\n%s" % (host.encode(), self._lines)


class RequestHeaders:
    """Makes the header lines of each request of one session.

    Args:
        maker: the backend's.
        request: the dial.
        record: the session's.
    """

    __slots__ = ("_beginning", "_constant", "_maker", "_record", "_trace")

    def __init__(self, maker: HeaderMaker, request: DialRequest, record: SessionRecord) -> None:
        self._maker = maker
        self._record = record
        self._trace = TraceContext(request.headers)
        forwarded = (pair for pair in request.headers if _is_forwarding(pair[0].lower()))
        self._beginning = maker.beginning(maker.passed(request.headers))
        own: Pairs = (("X-Wsgw-Session", record.session_id),)
        if maker.push_url is not None:
            own += (("X-Wsgw-Push", f"{maker.push_url}/session/send/{record.session_id}"),)
        if maker.cloudevents:
            path = request.path.partition("?")[0]
            own += cloud_events.constant_headers(record.session_id, path)
        self._constant = _lines(forwarded, "latin-1") + _lines(own, "ascii")

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
        """Returns the header lines of one attempt, each with its CRLF.

        Args:
            event: the kind of event.
            event_id: the same for each attempt.
            host: of the URL.
            content_type: of the body.
            body: the body of the request.
            number: of the message in its session; 0: none.
            replayed: the application may have received this event before.
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
        if state:  # byte for byte as the application sent it
            made += f"X-Wsgw-State: {state}\r\n".encode(errors="surrogateescape")
        return self._beginning.to(host) + self._constant + made


def _lines(pairs: Iterable[tuple[str, str]], encoding: str) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in pairs]).encode(encoding)


def _is_forwarding(name: str) -> bool:
    return name.startswith("x-forwarded-") or name in _FORWARDED
