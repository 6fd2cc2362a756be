"""One session's websocket to its backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from wsgw_core.api import (
    Close,
    CloseCause,
    CloseCode,
    Headers,
    Message,
    Sink,
)
from wsgw_core.websocket import Endpoint

from .acknowledgement import Acknowledgement
from .handshake import Answer, ClientHandshake
from .late_pong import LatePong, Verdict
from .pong_record import FirstPing

if TYPE_CHECKING:
    from .backend import WebSocketBackend


class WebSocketConnection:
    """Reports delivery by pongs, and decides which ends are abnormal; the endpoint relays.

    Args:
        backend: the backend; its `forget` is called once, when the transport is gone.
        handshake: the complete handshake; its transport is paused.
        answer: the backend's 101 answer.
        sink: the session's sink.

    Attributes:
        send: see BackendConnection; the endpoint's own method, which saves a call.
        subprotocol, headers: see BackendConnection.
    """

    __slots__ = (
        "__weakref__",
        "_account",
        "_asked_to_close",
        "_backend",
        "_clock",
        "_deflate",
        "_endpoint",
        "_first_ping",
        "_handshake",
        "_heard",
        "_hurry_after",
        "_late_pong",
        "_liveness",
        "_on_answer",
        "_on_answer_later",
        "_over",
        "_paused",
        "_pinger",
        "_pongs",
        "_rest",
        "_sink",
        "_usable",
        "_watched",
        "headers",
        "send",
        "subprotocol",
    )

    def __init__(
        self, backend: WebSocketBackend, handshake: ClientHandshake, answer: Answer, sink: Sink
    ) -> None:
        settings, context, pongs = backend.settings, backend.context, backend.pongs
        self.subprotocol: str | None = answer.subprotocol
        wanted = {name.lower() for name in settings.pass_headers}
        self.headers: Headers = tuple(
            (name, value) for name, value in answer.headers.raw_items() if name.lower() in wanted
        )
        self._handshake: ClientHandshake | None = handshake
        self._rest = answer.rest
        self._deflate = answer.deflate
        self._sink = sink
        self._backend = backend
        self._clock = context.clock
        self._pinger = backend.pinger
        self._pongs = pongs
        self._liveness = backend.liveness
        self._first_ping: FirstPing | None = None  # while no pong has ever come
        # callbacks for the client's pings: for the outstanding ping, and for the next one
        self._on_answer: Callable[[], object] | None = None
        self._on_answer_later: Callable[[], object] | None = None
        self._account = Acknowledgement(
            settings.replay_window, context.limits.ledger_bytes, pongs.released_early
        )
        self._heard = False
        self._late_pong: LatePong | None = None
        self._over = False
        self._usable = False  # true after a start that came in time
        self._paused = False
        self._asked_to_close: int | None = None
        self._endpoint = Endpoint(
            self, context.limits, context.clock, context.read_batch, context.limits.message_share
        )
        self._endpoint.wake_at = 0  # wakes at the first message
        self._watched = False
        self._hurry_after = context.limits.ledger_bytes // 4
        self.send: Callable[[Message], None] = self._endpoint.send

    # What the core calls

    def start(self) -> None:
        """See BackendConnection."""
        assert self._handshake is not None, "started twice"  # noqa: S101 - the caller's fault
        handshake, self._handshake = self._handshake, None
        if handshake.lost or handshake.transport.is_closing():
            self.send = _ignore
            lost = Close(CloseCode.LOST, "connection lost before it was used", abnormal=True)
            self._clock.call_soon(self._report_end, lost)
            return
        self._usable = True
        self._endpoint.deliver = self._sink.message
        self._endpoint.attach(handshake.transport, client_side=True, deflate=self._deflate)
        self._pinger.add(self)
        if self._pongs.is_doubtful and not self._pongs.acknowledge_on_write:
            self._ask(self._clock.time())
            self._watch()
        self._clock.call_soon(self._begin)

    def pause(self) -> None:
        """See BackendConnection."""
        if self._asked_to_close is not None:
            return  # it must read the answer, and the messages before it, in time
        self._paused = True
        if self._usable:
            self._endpoint.pause_reading()

    def resume(self) -> None:
        """See BackendConnection."""
        self._paused = False
        self._account.excuse(self._clock.time())
        if self._usable:
            self._endpoint.resume_reading()

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        """See BackendConnection."""
        if self._over or self._asked_to_close is not None:
            return
        self._asked_to_close = code
        if self._handshake is not None:  # never started
            self._handshake.transport.abort()
            self._clock.call_soon(self._report_end, Close(code, reason))
        elif self._usable:
            self._paused = False
            self._ask_for_the_last_time()
            self._endpoint.close(code, reason)

    def ping(self, on_answer: Callable[[], object], /) -> None:
        """See PingableConnection."""
        self._on_answer_later = on_answer
        if not self._account.waiting and self._usable and not self._over:
            self._ask(self._clock.time())
            if not self._watched:
                self._watch()

    @property
    def held_bytes(self) -> int:
        """See HoldingConnection."""
        return self._endpoint.held_bytes if self._usable else 0

    @property
    def is_in_a_message(self) -> bool:
        """See HoldingConnection."""
        return self._endpoint.is_in_a_message

    @property
    def lasting_bytes(self) -> int:
        """See HoldingConnection."""
        return self._endpoint.lasting_bytes if self._usable else 0

    # What the pinger calls

    def tick(self, now: float) -> bool:
        """Pings for acknowledgement, or aborts; returns whether to call it again."""
        if self._over:
            return False
        account, endpoint = self._account, self._endpoint
        if self._pongs.acknowledge_on_write:
            self._acknowledge_written(now)
        if account.waiting:
            if self._never_pongs(now):
                endpoint.abort("answers no pings")
                return False
            self._look(now)
        elif not self._pongs.acknowledge_on_write and (
            account.asked != endpoint.sent_messages or account.outlasted(now)
        ):
            self._ask(now)
        if account.settled(endpoint.sent_messages):
            self._watched = False
            endpoint.wake_at = 0
        return self._watched

    def keep_alive(self, now: float) -> None:
        """Pings an idle connection."""
        if self._pongs.acknowledge_on_write:
            self._endpoint.ping(b"")  # the backend may answer pings by now
        elif not self._watched:
            self._ask(now)
            self._watch()

    def fail(self) -> None:
        """Aborts the connection after a fault of wsgw."""
        self._endpoint.abort("internal error")

    # What the liveness calls

    def silence(self) -> float | None:
        """Returns the seconds since the last byte came; None if unknown."""
        return self._endpoint.silence() if self._usable and not self._over else None

    # What the endpoint calls

    def woken(self) -> None:
        """Begins to ping for acknowledgement; at once if many messages were sent."""
        if not self._watched:
            self._watch()
        elif self._pongs.acknowledge_on_write:
            self._endpoint.wake_at = self._endpoint.sent_weight + self._hurry_after
            # later: this runs inside `send`, whose message may not be written yet
            self._clock.call_soon(self._acknowledge_soon)
        elif not self._account.waiting:
            self._ask(self._clock.time())

    def heard(self) -> None:
        """Records a sign of life."""
        self._heard = True

    def pong_received(self, payload: bytes, /) -> None:
        """Takes an acknowledgement; `heard` was called before."""
        self._first_ping = None
        self._pongs.ponged()
        now = self._clock.time()
        self._liveness.lived(now)
        if self._account.answer(payload, now):
            self._forget_late_pong()
            on_answer, self._on_answer = self._on_answer, None
            self._release()
            if on_answer is not None:
                on_answer()
            much = self._endpoint.sent_weight - self._account.asked_weight >= self._hurry_after
            if much or self._account.is_crowded or self._on_answer_later is not None:
                self._ask(now)

    def writable(self, writable: bool, /) -> None:
        """Reports in the next turn whether the backend takes more; this may be inside `send`."""
        self._clock.call_soon(self._report_writable, writable)

    def ended(self, close: Close, *, violation: bool) -> None:
        """Reports to the session how the backend ended the connection."""
        self._pinger.remove(self)
        if violation:
            close = self._backend.violations.end(close, closing=self._asked_to_close is not None)
        else:
            codes = self._backend.settings.abnormal_close_codes
            abnormal = close.code == CloseCode.LOST or close.code in codes
            close = Close(close.code, close.reason, abnormal)
        if self._asked_to_close is not None:
            # Both sides may begin to close (RFC 6455 section 7.1.4), even with the same code, so
            # the backend's close does not prove that it has the messages before ours.
            close = replace(close, abnormal=not self._has_everything(close.code))
        self._report_end(close)

    def disconnected(self) -> None:
        """See EndpointEvents; the backend waits for this, the session knows the end already."""
        self._backend.forget(self)

    # Steps

    def _begin(self) -> None:
        rest, self._rest = self._rest, b""
        self._endpoint.begin(rest)
        if self._paused:
            self._endpoint.pause_reading()

    def _ask_for_the_last_time(self) -> None:
        """Pings once more, because the answer to a close acknowledges nothing."""
        account, sent = self._account, self._endpoint.sent_messages
        is_asked = account.waiting and account.asked == sent
        if not (is_asked or account.settled(sent)):
            self._ask(self._clock.time())

    def _has_everything(self, end_code: int) -> bool:
        """Returns whether the backend has proved that it received all messages before its end."""
        answered = end_code != CloseCode.LOST
        if self._account.acknowledged == self._endpoint.sent_messages:
            return answered or not self._account.waiting  # without the last pong it may have frozen
        return answered and self._pongs.acknowledge_on_write and self._endpoint.is_flushed

    def _never_pongs(self, now: float) -> bool:
        """Returns whether to abort, because the backend evidently never answers pings."""
        if not self._pongs.is_doubtful:
            return False
        if self._first_ping is None:
            self._first_ping = FirstPing(now)
        elif self._paused:
            self._first_ping.since = now
        else:
            talks = self._account.waited(now) < self._backend.context.ping_timeout
            if self._pongs.is_evident(self._first_ping, now, talks=talks):
                self._first_ping = None
                return not self._pongs.missing(alive=True)
        return False

    def _acknowledge_written(self, now: float) -> None:
        """Treats messages as acknowledged that the kernel has taken."""
        endpoint = self._endpoint
        if endpoint.is_flushed:
            self._account.acknowledge(now, endpoint.sent_messages, endpoint.sent_weight)
            self._release()

    def _look(self, now: float) -> None:
        """Checks whether the backend lives while a ping is outstanding."""
        account, endpoint = self._account, self._endpoint
        if self._paused:  # a pong could not be read
            account.excuse(now)
        elif self._heard:
            silence = endpoint.silence()
            lived = now if silence is None else now - silence
            account.excuse(lived)
            self._liveness.lived(lived)
        self._heard = False
        endpoint.deliver = self._note_and_deliver
        if self._late_pong is not None:
            self._late_pong.look(now)
        elif account.waited(now) >= self._backend.context.ping_timeout / 4:
            self._late_pong = LatePong(
                account, endpoint, self._liveness, self._backend.context, self._pong_is_due
            )

    def _pong_is_due(self) -> None:
        now = self._clock.time()
        if not self._account.waiting:  # written messages count as acknowledged by now
            self._forget_late_pong()
            return
        self._look(now)
        verdict = self._late_pong.verdict(now) if self._late_pong is not None else None
        if verdict is None:
            return
        if verdict is Verdict.BUSY_TOO_LONG:
            self._liveness.busy_timeouts.value += 1
            if self._pongs.is_doubtful and self._pongs.missing(alive=False):
                self._account.excuse(now)
                self._forget_late_pong()
                return
        self._endpoint.abort(self._reason(verdict))

    def _reason(self, verdict: Verdict) -> str:
        context = self._backend.context
        if verdict is Verdict.BUSY_TOO_LONG:
            return f"no pong for {context.busy_timeout:g} s, though the backend lives"
        seconds = f"{context.ping_timeout:g} s"
        if verdict is Verdict.CUT_OFF:
            return f"nothing sent was acknowledged by TCP for {seconds}, though the backend lives"
        return f"no pong for {seconds}"

    def _forget_late_pong(self) -> None:
        if self._late_pong is not None:
            self._late_pong.cancel()
            self._late_pong = None

    def _acknowledge_soon(self) -> None:
        if not self._over:
            self._acknowledge_written(self._clock.time())

    def _watch(self) -> None:
        self._watched = True
        self._endpoint.wake_at = self._account.asked_weight + self._hurry_after
        self._pinger.watch(self)

    def _release(self) -> None:
        if self._asked_to_close is None:
            released = self._account.release(self._endpoint.sent_weight)
        else:
            released = self._account.release_all()
        if released:
            self._sink.delivered(released)

    def _ask(self, now: float) -> None:
        endpoint = self._endpoint
        endpoint.wake_at = endpoint.sent_weight + self._hurry_after
        if self._on_answer_later is not None:
            self._on_answer, self._on_answer_later = self._on_answer_later, None
        endpoint.ping(self._account.ask(now, endpoint.sent_messages, endpoint.sent_weight))

    def _note_and_deliver(self, message: Message) -> bool:
        """Delivers one message while a pong is late; all others go directly to the sink."""
        self._heard = True
        if self._first_ping is not None:
            self._first_ping.heard(self._endpoint.sent_messages)
        self._endpoint.deliver = self._sink.message
        return self._sink.message(message)

    def _report_writable(self, writable: bool) -> None:
        if not self._over:
            self._sink.writable(writable)

    def _report_end(self, close: Close) -> None:
        if not self._over:
            self._over = True
            self._forget_late_pong()
            self._on_answer = self._on_answer_later = None
            self.send = _ignore
            if not self._usable:  # there is no transport whose end would call it
                self._backend.forget(self)
            self._sink.closed(close)


def _ignore(_message: Message) -> None:
    pass
