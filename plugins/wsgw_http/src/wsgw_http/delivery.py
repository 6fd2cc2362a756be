"""Sends one message, with retries, until the application answers it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from wsgw_core.api import (
    TEXT,
    BackendContext,
    BackendDeclined,
    Close,
    CloseCode,
    Message,
    RareWarning,
)

from .answers import (
    AnswerKind,
    Pausable,
    answer_kind,
    body_of,
    close_in,
    codec_in,
    is_empty,
    message_of,
    pieces_of,
    retry_after,
    text_message,
)
from .error_rules import ErrorRules, Meaning
from .exchange import Response, Target
from .failures import BadAnswer, Failure, NoAnswer, Unavailable, Unreachable
from .http_metrics import HttpMetrics
from .line_splitter import LineSplitter
from .piece_turns import PieceTurns
from .request_headers import RequestHeaders
from .requester import Requester
from .retry_pauses import RetryPauses
from .settings import HttpSettings
from .verdict import Verdict

if TYPE_CHECKING:
    from .connection import HttpConnection


@dataclass(slots=True)
class Outgoing:
    """One message on its way to the application.

    Attributes:
        message: what the client has sent.
        event_id: the same for each attempt.
        number: of the message in its session; 0: it has none.
        target: the URL to send it to.
        headers: makes the headers of each attempt.
        replayed: an earlier backend may have received the message.
        turn: of the message in its connection; see AnswerOrder.
        replies: the connection to which the replies go.
    """

    message: Message
    event_id: str
    number: int
    target: Target
    headers: RequestHeaders
    replayed: bool
    turn: int
    replies: HttpConnection


class Deliveries:
    """Delivers the messages of all sessions of one backend.

    Args:
        settings, context: the backend's.
        requester: sends the requests.
        metrics: of the backend.

    Attributes:
        max_response: maximum bytes of an answer, a line or an event.
    """

    def __init__(
        self,
        settings: HttpSettings,
        context: BackendContext,
        requester: Requester,
        metrics: HttpMetrics,
    ) -> None:
        most = context.limits.max_message_size
        self.max_response = min(settings.max_response or most, most)
        self._method = settings.method
        self._text_type = settings.content_type.text
        self._binary_type = settings.content_type.binary
        self._retries = settings.retries
        self._pauses = RetryPauses(settings)
        self._rules = ErrorRules(settings.on_error, settings.retry_statuses)
        self._requester = requester
        self._metrics = metrics
        self._turns = PieceTurns(context)
        self._warn_discarded = RareWarning(context.logger)
        self._warn_failed = RareWarning(context.logger)

    async def deliver(self, outgoing: Outgoing) -> Verdict:
        """Sends a message until the application answers it or retries are exhausted.

        Each connection calls it once for each message.
        """
        was_sent, was_silent, retry = False, False, 0
        may_be_stale = True  # the application may have closed the connection while it was idle
        while True:
            try:
                return await self._attempt(outgoing, outgoing.replayed or was_sent)
            except BackendDeclined:
                refusal = Close(CloseCode.POLICY_VIOLATION, "the host has no public address")
                return Verdict(failure=refusal, was_sent=was_sent)
            except Failure as error:
                failure = error.with_traceback(None)  # breaks a cycle with this frame
            was_sent = was_sent or not isinstance(failure, Unreachable)
            was_silent = was_silent or isinstance(failure, NoAnswer)
            if may_be_stale and failure.lost:
                may_be_stale = False
                self._metrics.count("message", "retry")
                continue
            if retry >= self._retries:
                close = self._give_up(failure, was_silent)
                return Verdict(failure=close, was_sent=was_sent)
            retry += 1
            self._metrics.count("message", "retry")
            await self._pause(self._pauses.before(retry, failure), failure, outgoing.replies)

    async def _pause(self, seconds: float, failure: Failure, replies: HttpConnection) -> None:
        asked = isinstance(failure, Unavailable) and failure.retry_after > 0
        if asked:
            replies.block_others(True)
        try:
            await asyncio.sleep(seconds)
        finally:
            if asked:
                replies.block_others(False)

    async def _attempt(self, outgoing: Outgoing, replayed: bool) -> Verdict:
        message = outgoing.message
        headers = outgoing.headers.make(
            "message",
            outgoing.event_id,
            outgoing.target.host,
            self._text_type if message.kind is TEXT else self._binary_type,
            message.data,
            number=outgoing.number,
            replayed=replayed,
        )
        read = partial(self._read, outgoing)
        return await self._requester.ask(self._method, outgoing.target, headers, message.data, read)

    async def _read(
        self, outgoing: Outgoing, response: Response, deadline: asyncio.Timeout
    ) -> Verdict:
        meaning, code = self._rules.meaning(response.status)
        if meaning is not Meaning.OK:
            return self._judge(meaning, code, response)
        try:
            verdict = await self._take(outgoing, response, deadline)
        except BadAnswer:
            rule = self._rules.rule(response.status)
            if rule is None or rule[0] is Meaning.OK:
                raise
            return self._judge(*rule, response)
        self._metrics.count("message", "ok" if 200 <= response.status < 300 else "verdict")
        return verdict

    def _judge(self, meaning: Meaning, code: int, response: Response) -> Verdict:
        """Returns the verdict for a status whose body is not needed."""
        reason = f"the application answered with status {response.status}"
        response.release()  # the connection stays open if the body is complete
        if meaning is Meaning.UNAVAILABLE:
            raise Unavailable(reason, retry_after(response))
        if meaning is Meaning.BAD:
            raise BadAnswer(reason)
        self._metrics.count("message", "verdict")
        if meaning is Meaning.CLOSE:
            return Verdict(close=Close(code, reason))
        self._metrics.discarded.value += 1
        self._warn_discarded("a message was discarded: %s", reason)
        return Verdict()

    async def _take(
        self, outgoing: Outgoing, response: Response, deadline: asyncio.Timeout
    ) -> Verdict:
        kind = answer_kind(response.headers.get("Content-Type", ""))
        state, close = None, None
        if response.status < 300:
            state, close = response.headers.get("X-Wsgw-State"), close_in(response)
        if is_empty(response):
            response.release()
            return Verdict(state=state, close=close)
        if kind is AnswerKind.EVENTS:
            deadline.reschedule(None)
            return Verdict(state=state, close=close, stream=response)
        if kind is AnswerKind.UNSUPPORTED:
            raise BadAnswer("multipart answers are not supported")
        codec = codec_in(response.headers.get("Content-Type", ""))
        if kind is AnswerKind.LINES and codec is not None:
            raise BadAnswer("NDJSON must be UTF-8")
        if kind is AnswerKind.LINES:
            await self._pass_lines_on(outgoing, response, deadline)
            return Verdict(state=state, close=close)
        body = await body_of(response, self.max_response)
        reply = message_of(kind, body, codec, self.max_response) if body else None
        return Verdict(reply, state, close)

    async def _pass_lines_on(
        self, outgoing: Outgoing, response: Response, deadline: asyncio.Timeout
    ) -> None:
        lines, replies = LineSplitter(self.max_response, any_end=False), outgoing.replies

        def parse(data: bytes) -> list[Message]:
            return [text_message(line) for line in filter(bytes.strip, lines.feed(data))]

        async def wait_for_room() -> None:
            with Pausable(deadline):
                await replies.wait_for_room()

        with Pausable(deadline):
            await replies.wait_for_turn(outgoing.turn)
        pieces = pieces_of(response)
        await self._turns.pass_on(pieces, parse, replies, wait_for_room, self.max_response)
        last = lines.finish()
        if last.strip():
            replies.pass_on(text_message(last))

    def _give_up(self, failure: Failure, was_silent: bool) -> Close:
        """Returns the close of the connection after the last attempt."""
        if isinstance(failure, BadAnswer):
            self._metrics.count("message", "bad_answer")
            self._warn_failed("a session is closed with 1011: %s", failure)
            return Close(CloseCode.INTERNAL_ERROR, "the application fails on this message")
        self._metrics.count("message", "unavailable")
        # The message may have killed an application that received it and fell silent. Only a loss
        # that counts against the message ends its retries.
        code = CloseCode.LOST if was_silent else CloseCode.TRY_AGAIN_LATER
        return Close(code, failure.reason, abnormal=True)
