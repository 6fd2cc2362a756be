"""The headers of the requests of one session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Literal

from multidict import CIMultiDict

from wsgw_core.api import DialRequest

from . import cloud_events
from .session_record import SessionRecord
from .settings import HttpSettings
from .signatures import Signer
from .trace_context import TraceContext

Event = Literal["connect", "message", "disconnect"]
Pairs = tuple[tuple[str, str], ...]

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
        self.fixed = fixed
        self.signer = signer
        self.cloudevents = settings.cloudevents
        self.push_url = settings.push_url
        self._passed = frozenset(name.lower() for name in settings.pass_headers)

    def passed(self, headers: Iterable[tuple[str, str]]) -> Pairs:
        """Return those of a client's headers that the configuration names."""
        return tuple(pair for pair in headers if pair[0].lower() in self._passed)


class RequestHeaders:
    """Makes the headers of each request of one session.

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
        forwarded = tuple(pair for pair in request.headers if _is_forwarding(pair[0].lower()))
        self._constant: Pairs = tuple(
            (name, _as_received(value))
            for name, value in (*maker.passed(request.headers), *forwarded)
        )
        self._constant += (("X-Wsgw-Session", record.session_id),)
        if maker.push_url is not None:
            push_url = f"{maker.push_url}/session/send/{record.session_id}"
            self._constant += (("X-Wsgw-Push", push_url),)
        if maker.cloudevents:
            path = request.path.partition("?")[0]
            self._constant += cloud_events.constant_headers(record.session_id, path)

    def make(
        self,
        event: Event,
        event_id: str,
        content_type: str,
        body: bytes,
        *,
        number: int = 0,
        replayed: bool = False,
    ) -> CIMultiDict[str]:
        """Return the headers of one attempt.

        Args:
            event: what the request tells.
            event_id: the same for each attempt.
            content_type: of the body.
            body: as it is sent.
            number: of a message in its session; 0: it has none.
            replayed: the application may have had this event before.
        """
        maker = self._maker
        headers = CIMultiDict(self._constant)
        for name, value in maker.fixed():
            headers[name] = value
        headers["Content-Type"] = content_type
        headers["X-Wsgw-Event"] = event
        headers["Idempotency-Key"] = f'"{event_id}"'
        if number:
            headers["X-Wsgw-Number"] = str(number)
        if replayed:
            headers["X-Wsgw-Replayed"] = "1"
        if self._record.state:
            headers["X-Wsgw-State"] = self._record.state
        headers.extend(self._trace.headers())
        if not (maker.cloudevents or maker.signer):
            return headers
        now = time.time()
        if maker.cloudevents:
            headers.extend(cloud_events.event_headers(event, event_id, now))
        if maker.signer is not None:
            headers.extend(maker.signer.headers(event_id, int(now), body))
        return headers


def _is_forwarding(name: str) -> bool:
    return name.startswith("x-forwarded-") or name in _FORWARDED


def _as_received(value: str) -> str:
    """Return a value of which the client library makes the bytes that were received."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value  # not UTF-8: its characters are sent as UTF-8
