"""Sends disconnect events: reports the ends of sessions to the application."""

from __future__ import annotations

import asyncio
import heapq
import json
from dataclasses import dataclass, field

from wsgw_core.api import BackendContext, BackendDeclined, Close, CloseCause, RareWarning

from .exchange import Response, Target
from .failures import Failure, Unavailable
from .http_metrics import HttpMetrics
from .request_headers import RequestHeaders
from .requester import Requester
from .retry_pauses import RetryPauses
from .session_record import SessionRecord
from .settings import HttpSettings

_JSON = "application/json"
_MOST = 50_000  # waiting events
_AT_ONCE = 50  # requests in flight
_ENDED_BY = {CloseCause.CLIENT_LEFT: "client", CloseCause.BACKEND_ENDED: "backend"}


@dataclass(order=True, slots=True)
class _Event:
    """One disconnect event; ordered by when its next attempt is due."""

    due: float
    sequence: int
    target: Target = field(compare=False)
    headers: RequestHeaders = field(compare=False)
    event_id: str = field(compare=False)
    body: bytes = field(compare=False)
    expires: float = field(compare=False)
    attempts: int = field(compare=False, default=0)


class DisconnectEvents:
    """Sends disconnect events at a limited rate, with retries for a limited time.

    Args:
        settings, context: the backend's.
        requester: sends the requests.
        metrics: of the backend.
    """

    def __init__(
        self,
        settings: HttpSettings,
        context: BackendContext,
        requester: Requester,
        metrics: HttpMetrics,
    ) -> None:
        self._clock = context.clock
        self._retries = settings.disconnect_retries
        self._patience = settings.disconnect_patience
        self._pause = 1.0 / settings.disconnect_rate
        self._retry_statuses = settings.retry_statuses
        self._pauses = RetryPauses(settings)
        self._requester = requester
        self._metrics = metrics
        self._warn = RareWarning(context.logger)
        self._waiting: list[_Event] = []  # a heap
        self._sequence = 0
        self._sending: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(
        self,
        record: SessionRecord,
        target: Target,
        headers: RequestHeaders,
        close: Close,
        cause: CloseCause,
    ) -> None:
        """Queues the event for a session that has ended; called once for each session."""
        if len(self._waiting) >= _MOST:
            self._lose(f"{_MOST} others are waiting")
            return
        now = self._clock.time()
        described = {
            "code": close.code,
            "reason": close.reason,
            "by": _ENDED_BY.get(cause, "gateway"),
            "messages": record.messages,
            "duration": round(now - record.since, 3),
        }
        body = json.dumps(described, ensure_ascii=False).encode(errors="replace")
        self._sequence += 1
        event = _Event(
            now,
            self._sequence,
            target,
            headers,
            f"{record.session_id}-d",
            body,
            now + self._patience,
        )
        heapq.heappush(self._waiting, event)
        self._changed.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self, seconds: float) -> None:
        """Waits until all events are sent, at most for some seconds. Events left then are lost."""
        try:
            async with asyncio.timeout(seconds):
                while self._waiting or self._sending:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        tasks = [task for task in (self._task, *self._sending) if task is not None]
        for _ in range(len(self._waiting) + len(self._sending)):
            self._lose("the gateway is stopping")
        self._waiting.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        """Starts the requests that are due, at the configured rate."""
        while True:
            self._changed.clear()
            now = self._clock.time()
            if not self._waiting or len(self._sending) >= _AT_ONCE:
                await self._changed.wait()
            elif self._waiting[0].due > now:
                await self._wait(self._waiting[0].due - now)
            else:
                event = heapq.heappop(self._waiting)
                task = asyncio.get_running_loop().create_task(self._send(event))
                self._sending.add(task)
                task.add_done_callback(self._is_sent)
                await asyncio.sleep(self._pause)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _is_sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._changed.set()
        if not task.cancelled() and task.exception() is not None:
            self._lose("internal error", task.exception())

    async def _send(self, event: _Event) -> None:
        made = event.headers.make(
            "disconnect",
            event.event_id,
            event.target.host,
            _JSON,
            event.body,
            replayed=event.attempts > 0,
        )
        event.attempts += 1
        try:
            await self._requester.ask("POST", event.target, made, event.body, self._read)
        except BackendDeclined:
            self._lose("the host has no public address")
        except Failure as error:
            self._try_later(event, error)

    async def _read(self, response: Response, _deadline: asyncio.Timeout) -> None:
        status = response.status
        response.release()
        if status in self._retry_statuses or status >= 500:
            raise Unavailable(f"answered with status {status}")
        self._metrics.count("disconnect", "ok" if status < 300 else "verdict")

    def _try_later(self, event: _Event, failure: Failure) -> None:
        event.due = self._clock.time() + self._pauses.before(event.attempts, failure)
        if event.attempts > self._retries or event.due >= event.expires:
            self._metrics.count("disconnect", "unavailable")
            self._lose(failure.reason)
            return
        self._metrics.count("disconnect", "retry")
        heapq.heappush(self._waiting, event)

    def _lose(self, why: str, error: BaseException | None = None) -> None:
        self._metrics.disconnects_lost.value += 1
        self._warn("a disconnect event is lost: %s", why, exc_info=error)
