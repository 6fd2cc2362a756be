"""The connect event: the application accepts or declines a session."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qs

from wsgw_core.api import (
    BackendDeclined,
    BackendError,
    BackendUnavailable,
    DialRequest,
    HandshakeField,
    Headers,
    Message,
    UnusableAnswer,
)

from .answers import AnswerKind, answer_kind, body_of, codec_in, is_empty, message_of
from .exchange import Response, Target
from .failures import BadAnswer, Failure, Unreachable
from .http_metrics import HttpMetrics
from .request_headers import HeaderMaker, RequestHeaders
from .requester import Requester, as_backend_error
from .session_record import SessionRecord
from .settings import HttpSettings

_JSON = "application/json"
_BUSY = frozenset({408, 425, 429})
_MAX_DECLINING_BODY = 64 * 1024
_MOST_FIELDS = 1000  # of a query string
_PEER = HandshakeField("peer")
_OF_THE_BODY = ("content-encoding", "content-length", "transfer-encoding")


@dataclass(frozen=True, slots=True)
class Introduction:
    """What the application answered when it accepted a session.

    Attributes:
        subprotocol: the session's; None: none.
        headers: for the client's 101 answer.
        state: see Verdict.
        reply: the first message for the client.
        stream: events follow until it ends.
    """

    subprotocol: str | None
    headers: Headers = ()
    state: str | None = None
    reply: Message | None = None
    stream: Response | None = None


class Introducer:
    """Sends connect events.

    Args:
        settings: the backend's.
        requester: sends the requests.
        maker: the backend's.
        max_response: maximum bytes of the first message.
        metrics: of the backend.
    """

    def __init__(
        self,
        settings: HttpSettings,
        requester: Requester,
        maker: HeaderMaker,
        max_response: int,
        metrics: HttpMetrics,
    ) -> None:
        self._requester = requester
        self._maker = maker
        self._max_response = max_response
        self._metrics = metrics
        self._retry_statuses = settings.retry_statuses | _BUSY
        self._passed_back = frozenset(name.lower() for name in settings.pass_answer_headers)
        self._subprotocols = settings.subprotocols

    async def introduce(
        self, request: DialRequest, target: Target, headers: RequestHeaders, record: SessionRecord
    ) -> Introduction:
        """Returns the application's answer to a connect event; called once for each dial.

        Raises:
            BackendDeclined: the application declines the session.
            BackendUnavailable: it does not answer, or its answer is unusable.
        """
        number = max(record.introductions, int(request.reconnect))
        event_id = f"{record.session_id}-c{number}"
        body = json.dumps(self._described(request), ensure_ascii=False).encode(errors="replace")
        ask = partial(self._ask, request, target, headers, record, event_id, body)
        try:
            try:
                return await ask()
            except Failure as error:
                if not error.lost:
                    raise
                self._metrics.count("connect", "retry")
                # the application may have closed the connection while it was idle
                return await ask()
        except Failure as error:
            raise self._as_backend_error(error) from error

    async def _ask(
        self,
        request: DialRequest,
        target: Target,
        headers: RequestHeaders,
        record: SessionRecord,
        event_id: str,
        body: bytes,
    ) -> Introduction:
        introductions: int | None = None  # once the application may have the event

        def head() -> bytes:
            nonlocal introductions
            replayed = record.unanswered > 0
            introductions = record.introductions
            record.unanswered += 1  # before the answer, because two dials may be under way
            return headers.make("connect", event_id, target.host, _JSON, body, replayed=replayed)

        try:
            read = partial(self._read, request)
            return await self._requester.ask("POST", target, head, body, read)
        except Unreachable:  # perhaps only when it was about to be written
            if record.introductions == introductions:
                record.unanswered -= 1
            raise

    async def _read(
        self, request: DialRequest, response: Response, deadline: asyncio.Timeout
    ) -> Introduction:
        status = response.status
        if 200 <= status < 300:
            introduction = await self._accepted(request, response, deadline)
            self._metrics.count("connect", "ok")
            return introduction
        if status >= 500 or status in self._retry_statuses:
            response.release()
            self._metrics.count("connect", "unavailable")
            raise BackendUnavailable(f"answered the connect event with status {status}")
        if status < 300:
            raise BadAnswer(f"answered the connect event with status {status}")
        body = await _declining_body(response)
        self._metrics.count("connect", "verdict")
        raise BackendDeclined(status, _headers(response), body, pass_headers=self._passed_back)

    async def _accepted(
        self, request: DialRequest, response: Response, deadline: asyncio.Timeout
    ) -> Introduction:
        chosen = response.headers.get("Sec-WebSocket-Protocol", "").strip()
        if chosen and chosen not in request.subprotocols:
            raise BadAnswer("the application chose a subprotocol that was not offered")
        passed = tuple(pair for pair in _headers(response) if pair[0].lower() in self._passed_back)
        state = response.headers.get("X-Wsgw-State")
        subprotocol = chosen or self._subprotocols.choose(request)
        if is_empty(response):
            response.release()
            return Introduction(subprotocol, passed, state)
        kind = answer_kind(response.headers.get("Content-Type", ""))
        if kind is AnswerKind.EVENTS:
            deadline.reschedule(None)
            return Introduction(subprotocol, passed, state, stream=response)
        if kind not in (AnswerKind.TEXT, AnswerKind.BINARY):
            raise BadAnswer("the answer to a connect event is neither one message nor a stream")
        body = await body_of(response, self._max_response)
        codec = codec_in(response.headers.get("Content-Type", ""))
        reply = message_of(kind, body, codec, self._max_response) if body else None
        return Introduction(subprotocol, passed, state, reply)

    def _as_backend_error(self, error: Failure) -> BackendError:
        if isinstance(error, BadAnswer):
            self._metrics.count("connect", "bad_answer")
            return UnusableAnswer(error.reason)
        self._metrics.count("connect", "unavailable")
        if isinstance(error, Unreachable):
            return as_backend_error(error)
        return BackendUnavailable(error.reason)

    def _described(self, request: DialRequest) -> dict[str, object]:
        path, _, query = request.path.partition("?")
        passed: dict[str, str] = {}
        for name, value in self._maker.passed(request.headers):
            passed[name] = f"{passed[name]}, {value}" if name in passed else value
        told = dict(request.headers).get("X-Wsgw-Replayed", "0")
        if query.count("&") >= _MOST_FIELDS:
            raise BackendDeclined.with_text(400, "the query has too many fields")
        return {
            "path": path,
            "query": parse_qs(query, keep_blank_values=True, errors="replace"),
            "headers": passed,
            "subprotocols": list(request.subprotocols),
            "peer": _PEER.of(request) or "",
            "reconnect": request.reconnect,
            "replayed": int(told),
        }


def _headers(response: Response) -> Headers:
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in response.raw_headers
        if name.decode("latin-1").lower() not in _OF_THE_BODY
    )


async def _declining_body(response: Response) -> bytes:
    """Returns the body of a declining answer; empty if it is too long or broken."""
    try:
        return await body_of(response, _MAX_DECLINING_BODY)
    except BadAnswer:
        response.close()
        return b""
